"""PASCAL-Context as ASTMT published it; augmentation of ATRC and InvPT.

Images are scaled by 0.5 to 2, cut to 512 x 512, flipped and recoloured, and evaluated whole.
"""

size = (512, 512)
data_preprocessor = dict(
    type='mdl_nas_mm.ScenePreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    size=size,
    pad_val=0,
    seg_pad_val=255,
    # Patches of 16 pixels and maps of 1/32 divide this.
    test_cfg=dict(size_divisor=32),
)
_pascal = dict(type='mdl_nas_mm.PASCALContextScenes', data_root='data/PASCALContext')
_load = [dict(type='LoadImageFromFile'), dict(type='mdl_nas_mm.LoadSceneLabel')]
_augment = [
    dict(
        type='RandomResize',
        scale=(512, 512),
        ratio_range=(0.5, 2.0),
        keep_ratio=True,
        resize_type='mdl_nas_mm.SceneResize',
    ),
    dict(type='RandomCrop', crop_size=size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='mdl_nas_mm.ScenePad', size=size),
]
_pack = dict(type='mdl_nas_mm.PackScene')
train_dataloader = dict(
    batch_size=6,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **_pascal, ann_file='ImageSets/Context/train.txt', pipeline=[*_load, *_augment, _pack]
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**_pascal, ann_file='ImageSets/Context/val.txt', pipeline=[*_load, _pack]),
)
test_dataloader = val_dataloader
