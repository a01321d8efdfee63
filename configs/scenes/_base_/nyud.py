"""NYUD-v2 in any of its three layouts; augmentation of ATRC and InvPT.

Images are scaled by 0.5 to 2, depth divided by that, cut to 448 x 576, flipped and recoloured. They
are evaluated whole, 480 x 640 or 425 x 560.
"""

size = (448, 576)
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
_nyud = dict(type='mdl_nas_mm.NYUDScenes', data_root='data/NYUDv2')
_load = [dict(type='LoadImageFromFile'), dict(type='mdl_nas_mm.LoadSceneLabel')]
_augment = [
    dict(
        type='RandomResize',
        scale=(640, 480),
        ratio_range=(0.5, 2.0),
        keep_ratio=True,
        resize_type='mdl_nas_mm.SceneResize',
        divide_depth=True,
    ),
    dict(type='RandomCrop', crop_size=size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='mdl_nas_mm.ScenePad', size=size),
]
_pack = dict(type='mdl_nas_mm.PackScene')
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**_nyud, ann_file='gt_sets/train.txt', pipeline=[*_load, *_augment, _pack]),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**_nyud, ann_file='gt_sets/val.txt', pipeline=[*_load, _pack]),
)
test_dataloader = val_dataloader
