"""One of CIFAR-100's twenty coarse classes, five classes: an mmpretrain config.

The schedule is ECMT's, 75 epochs of ten steps. ``coarse`` of the data sets says which one.
"""

default_scope = 'mmpretrain'
custom_imports = dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False)

data_preprocessor = dict(
    num_classes=5,
    mean=[129.304, 124.070, 112.434],
    std=[68.170, 65.392, 70.418],
    # Images are RGB as they are loaded.
    to_rgb=False,
)
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet_CIFAR', depth=18, out_indices=(3,)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=5,
        in_channels=512,
        loss=dict(type='CrossEntropyLoss'),
        topk=(1,),
    ),
)
_cifar = dict(type='mdl_nas_mm.CIFAR100Task', data_root='data/cifar100', coarse='fish')
train_dataloader = dict(
    batch_size=256,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **_cifar,
        split='train',
        pipeline=[
            dict(type='RandomCrop', crop_size=32, padding=4),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=500,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**_cifar, split='test', pipeline=[dict(type='PackInputs')]),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=True, max_epochs=75, val_interval=5)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3, weight_decay=1e-4))
