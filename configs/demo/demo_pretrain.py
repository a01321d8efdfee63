"""Supernet pre-training on classification, everything shared.

python tools/train.py configs/demo/demo_pretrain.py
"""

_base_ = ['../_base_/joint_runtime.py']

backbone = dict(
    type='ElasticViT',
    space=dict(
        embed_dim=(64, 96),
        depth=(4, 5),
        num_heads=(2, 3),
        mlp_ratio=(2, 3),
        share_ratio=(0.5, 0.7, 0.9),
    ),
    sharing='AllShared',
    img_size=48,
    patch_size=4,
    head_dim=32,
    max_relative_position=14,
    position_std=0.5,
)
tasks = dict(
    cls=dict(
        config='mdl_nas_mm::demo/tasks/cls.py',
        score='accuracy/top1',
        backbone=dict(out_type='avg_featmap'),
        search_dataloader=dict(dataset=dict(data_prefix='search')),
    )
)

max_iters = 450
train_cfg = dict(
    type='MultiTaskTrainLoop',
    max_iters=max_iters,
    val_interval=max_iters,
    # One random subnet a step: more and cheaper steps than those of a sandwich.
    sampler=dict(type='UniformSampler'),
)
val_cfg = dict(type='MultiTaskValLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=30),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=30, T_max=max_iters - 30),
]
default_hooks = dict(logger=dict(interval=5), checkpoint=dict(interval=150))
