"""Taskonomy's tiny split at 224 x 224 without augmentation; the recipe of AutoTaskFormer.

The models have a head on the last map alone.
"""

default_scope = 'mmseg'
custom_imports = dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False)

size = (224, 224)
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
    type='mdl_nas_mm.DenseEstimator',
    backbone=dict(
        type='SwinTransformer',
        embed_dims=96,
        depths=(2, 2, 6, 2),
        num_heads=(3, 6, 12, 24),
        window_size=7,
        drop_path_rate=0.2,
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=768,
        in_index=3,
        channels=256,
        num_convs=1,
        concat_input=False,
        norm_cfg=dict(type='BN'),
        align_corners=False,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)

_taskonomy = dict(
    type='mdl_nas_mm.TaskonomyScenes',
    data_root='data/taskonomy',
    ann_file='train_val_test_tiny.csv',
)
_image = dict(type='LoadImageFromFile')
_label = dict(type='mdl_nas_mm.LoadSceneLabel')
_resize = dict(type='mdl_nas_mm.SceneResize', scale=size, keep_ratio=False)
_pack = dict(type='mdl_nas_mm.PackScene')
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**_taskonomy, split='train', pipeline=[_image, _label, _resize, _pack]),
)
# Predictions are compared with labels of the size that they were published in.
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**_taskonomy, split='val', pipeline=[_image, _resize, _label, _pack]),
)
test_dataloader = val_dataloader

val_cfg = dict()
test_cfg = dict()
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=4063, max_keep_ckpts=2),
)
log_processor = dict(by_epoch=False)
