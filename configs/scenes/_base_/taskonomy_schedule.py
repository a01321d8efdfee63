"""AutoTaskFormer's schedule of Taskonomy: 30 epochs of 260,000 images, 64 a step."""

_epoch = 4063
max_iters = 30 * _epoch
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=_epoch)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, end=_epoch),
    dict(
        type='CosineAnnealingLR',
        by_epoch=False,
        begin=_epoch,
        T_max=max_iters - _epoch,
        eta_min=5e-6,
    ),
]
