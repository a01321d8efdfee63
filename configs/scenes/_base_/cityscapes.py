"""Cityscapes as it is downloaded, at a quarter of its size; augmentation of AutoTaskFormer.

Images of 256 x 512 are cut to 256 x 256 and flipped. Predictions are compared with the labels of
1024 x 2048.
"""

size = (256, 256)
data_preprocessor = dict(
    type='mdl_nas_mm.ScenePreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    size=size,
    pad_val=0,
    seg_pad_val=255,
    test_cfg=dict(size_divisor=32),
)
_cityscapes = dict(type='mdl_nas_mm.CityscapesScenes', data_root='data/cityscapes')
_image = dict(type='LoadImageFromFile')
_label = dict(type='mdl_nas_mm.LoadSceneLabel')
_resize = dict(type='mdl_nas_mm.SceneResize', scale=(512, 256), keep_ratio=True)
_augment = [
    dict(type='RandomCrop', crop_size=size),
    dict(type='RandomFlip', prob=0.5),
]
_pack = dict(type='mdl_nas_mm.PackScene')
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **_cityscapes, split='train', pipeline=[_image, _label, _resize, *_augment, _pack]
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**_cityscapes, split='val', pipeline=[_image, _resize, _label, _pack]),
)
test_dataloader = val_dataloader
