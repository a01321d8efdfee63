"""What the tasks on rendered rooms have in common: images, augmentation, model, schedule."""

default_scope = 'mmseg'
custom_imports = dict(
    imports=['mdl_nas_mm.scenes', 'mmpretrain.models'], allow_failed_imports=False
)

width = 96
size = (96, 128)
model = dict(
    data_preprocessor=dict(
        type='mdl_nas_mm.ScenePreProcessor',
        mean=[127.5, 127.5, 127.5],
        std=[64.0, 64.0, 64.0],
        bgr_to_rgb=True,
        size=size,
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type='mmpretrain.VisionTransformer',
        arch=dict(embed_dims=width, num_layers=5, num_heads=3, feedforward_channels=3 * width),
        img_size=size,
        patch_size=8,
        with_cls_token=False,
        out_type='featmap',
        out_indices=(4,),
    ),
    # A token, of 8 x 8 pixels, becomes 2 x 2 of 32 channels.
    decode_head=dict(
        type='mdl_nas_mm.ConvNeXtHead',
        in_channels=width,
        in_index=0,
        channels=128,
        patch=2,
        depth=1,
        norm_cfg=None,
        align_corners=False,
        dropout_ratio=0.0,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)

_rooms = dict(
    type='mdl_nas_mm.SceneFolders',
    data_root='data/rooms',
    semseg=dict(
        folder='segmentation',
        zero_ignored=True,
        classes=('wall', 'floor', 'ceiling', 'box', 'ball', 'board'),
        palette=[
            [200, 200, 180],
            [140, 90, 40],
            [235, 235, 255],
            [230, 25, 75],
            [0, 130, 200],
            [60, 180, 75],
        ],
    ),
    depth=dict(folder='depth', unit='m'),
    normals=dict(folder='normals'),
    edges=dict(folder='edge'),
)
_load = [dict(type='LoadImageFromFile'), dict(type='mdl_nas_mm.LoadSceneLabel')]
_pack = dict(type='mdl_nas_mm.PackScene')
_augment = [dict(type='RandomFlip', prob=0.5), dict(type='PhotoMetricDistortion')]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**_rooms, ann_file='gt_sets/train.txt', pipeline=[*_load, *_augment, _pack]),
)
val_dataloader = dict(
    batch_size=20,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**_rooms, ann_file='gt_sets/val.txt', pipeline=[*_load, _pack]),
)
test_dataloader = val_dataloader

max_iters = 600
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=30),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=30, T_max=max_iters - 30),
]
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=max_iters),
)
log_processor = dict(by_epoch=False)
