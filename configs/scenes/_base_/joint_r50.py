"""Upstream's dilated ResNet-50 for all tasks, wholly shared, that starts from ImageNet-1K."""

_base_ = ['../../_base_/joint_runtime.py']

custom_imports = dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False)

backbone = dict(
    type='UpstreamBackbone',
    space='whole',
    module=dict(
        type='mmseg.ResNet',
        depth=50,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        out_indices=(3,),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
)
val_cfg = dict(type='MultiTaskValLoop')
