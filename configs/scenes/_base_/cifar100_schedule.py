"""20 epochs on CIFAR100-MTL, 32 images of each task a step, from ImageNet's weights: our choice."""

_epoch = 79
max_iters = 20 * _epoch
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=max_iters, val_interval=2 * _epoch)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, end=_epoch),
    dict(
        type='CosineAnnealingLR',
        by_epoch=False,
        begin=_epoch,
        T_max=max_iters - _epoch,
        eta_min=1e-6,
    ),
]
