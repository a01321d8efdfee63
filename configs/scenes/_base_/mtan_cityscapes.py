"""MTAN's Cityscapes of 128 x 256 pixels; model and recipe of LibMTL.

A dilated ResNet-50 and DeepLabV3's ASPP, images scaled by 1 to 1.5, cut and flipped, Adam,
200 epochs of 46 steps.
"""

default_scope = 'mmseg'
custom_imports = dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False)

size = (128, 256)
data_preprocessor = dict(
    type='mdl_nas_mm.ScenePreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    size=size,
    pad_val=0,
    seg_pad_val=255,
)
model = dict(
    backbone=dict(
        type='ResNet',
        depth=50,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        out_indices=(3,),
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    decode_head=dict(
        type='ASPPHead',
        in_channels=2048,
        in_index=0,
        channels=256,
        dilations=(1, 12, 24, 36),
        norm_cfg=dict(type='BN'),
        align_corners=False,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)

_mtan = dict(type='mdl_nas_mm.MTANScenes', data_root='data/cityscapes2')
_load = [dict(type='mdl_nas_mm.LoadSceneImage'), dict(type='mdl_nas_mm.LoadSceneLabel')]
_augment = [
    dict(
        type='RandomChoiceResize',
        scales=[(256, 128), (307, 154), (384, 192)],
        keep_ratio=False,
        resize_type='mdl_nas_mm.SceneResize',
    ),
    dict(type='RandomCrop', crop_size=size),
    dict(type='RandomFlip', prob=0.5),
]
_pack = dict(type='mdl_nas_mm.PackScene')
train_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**_mtan, split='train', pipeline=[*_load, *_augment, _pack]),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**_mtan, split='val', pipeline=[*_load, _pack]),
)
test_dataloader = val_dataloader

val_cfg = dict()
test_cfg = dict()
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=460, max_keep_ckpts=2),
)
log_processor = dict(by_epoch=False)
