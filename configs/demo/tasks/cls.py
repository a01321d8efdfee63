"""Handwritten digits, light on plain dark: an ordinary mmpretrain config.

mim train mmpretrain configs/demo/tasks/cls.py
"""

default_scope = 'mmpretrain'
custom_imports = dict(imports=['mmpretrain.models'], allow_failed_imports=False)

data_root = 'data/demo/cls'
width = 96

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        num_classes=10,
        mean=[127.5, 127.5, 127.5],
        std=[64.0, 64.0, 64.0],
        to_rgb=True,
    ),
    backbone=dict(
        type='VisionTransformer',
        arch=dict(embed_dims=width, num_layers=6, num_heads=2, feedforward_channels=4 * width),
        img_size=20,
        patch_size=4,
        with_cls_token=False,
        out_type='avg_featmap',
    ),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=width,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
)

pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='CustomDataset', data_root=data_root, data_prefix='train', pipeline=pipeline),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CustomDataset', data_root=data_root, data_prefix='val', pipeline=pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator

max_iters = 600
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=200)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
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
