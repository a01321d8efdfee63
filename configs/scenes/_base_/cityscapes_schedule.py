"""AutoTaskFormer's schedule of Cityscapes: 200 epochs of 2,975 images, 8 a step."""

max_iters = 74375
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=3719)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.05))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters, eta_min=5e-6)]
