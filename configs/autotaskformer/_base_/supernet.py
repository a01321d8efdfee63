"""The smaller supernet of AutoTaskFormer with single-scale skeletons, from scratch."""

_base_ = ['../../_base_/joint_runtime.py']

custom_imports = dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False)

backbone = dict(
    type='ElasticSwinUNet',
    space='autotaskformer-s',
    sharing='AllShared',
    skeletons='single-scale',
)
val_cfg = dict(type='MultiTaskValLoop')
default_hooks = dict(checkpoint=dict(interval=4000))
# Stage 2: budget by --cfg-options search_cfg.budget=45M.
search_cfg = dict(
    budget='45M',
    with_heads=False,
    score=dict(type='MeanRelativeScore'),
    evolution=dict(
        population=50,
        generations=20,
        parents=10,
        crossovers=25,
        mutations=25,
        stage_prob=0.4,
        block_prob=0.2,
    ),
    random_baseline=True,
)
