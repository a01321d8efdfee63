"""Architectures up to ViT-B for all tasks, wholly shared, that start from mmpretrain's DeiT-B.

Which one is deposited is found by a search; see docs/search.md.
"""

_base_ = ['../../_base_/joint_runtime.py']

custom_imports = dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False)

weights = 'https://download.openmmlab.com/mmclassification/v0/deit/deit-base_pt-16xb64_in1k_20220216-db63c16c.pth'
backbone = dict(
    type='ElasticViT',
    space='deit-b-elastic',
    sharing='AllShared',
    patch_size=16,
    max_relative_position=0,
    out_type='featmap',
    out_indices=(-1,),
    drop_path_rate=0.1,
    init_cfg=dict(type='Pretrained', checkpoint=weights, reorder=True),
)
val_cfg = dict(type='MultiTaskValLoop')
default_hooks = dict(checkpoint=dict(interval=4000))
