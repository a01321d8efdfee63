"""Upstream's Swin-T for all tasks, wholly shared, that starts from ImageNet-1K."""

_base_ = ['../../_base_/joint_runtime.py']

custom_imports = dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False)

weights = 'https://download.openmmlab.com/mmclassification/v0/swin-transformer/swin_tiny_224_b16x64_300e_imagenet_20210616_090925-66df6be6.pth'
backbone = dict(
    type='UpstreamBackbone',
    space='whole',
    module=dict(
        type='mmpretrain.SwinTransformer',
        arch='tiny',
        out_indices=(0, 1, 2, 3),
        pad_small_map=True,
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint=weights, prefix='backbone'),
    ),
)
val_cfg = dict(type='MultiTaskValLoop')
default_hooks = dict(checkpoint=dict(interval=4000))
