"""Optimizer and schedule of InvPT, those of ATRC but for Adam in place of SGD."""

max_iters = 40000
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=4000)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-5, weight_decay=1e-6))
param_scheduler = [dict(type='PolyLR', by_epoch=False, end=max_iters, power=0.9, eta_min=0.0)]
