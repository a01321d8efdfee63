"""Upstream's ViT-B for all tasks, wholly shared, that starts from mmpretrain's DeiT-B.

Tasks get the map of 1/16 behind the last block.
"""

_base_ = ['../../_base_/joint_runtime.py']

custom_imports = dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False)

weights = 'https://download.openmmlab.com/mmclassification/v0/deit/deit-base_pt-16xb64_in1k_20220216-db63c16c.pth'
backbone = dict(
    type='UpstreamBackbone',
    space='whole',
    module=dict(
        type='mmpretrain.VisionTransformer',
        arch='deit-base',
        patch_size=16,
        out_type='featmap',
        out_indices=(11,),
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint=weights, prefix='backbone'),
    ),
)
val_cfg = dict(type='MultiTaskValLoop')
default_hooks = dict(checkpoint=dict(interval=4000))
