"""LibMTL's schedule of MTAN's Cityscapes: 200 epochs of 46 steps of 64 images."""

max_iters = 9200
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=460)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, weight_decay=1e-5))
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[4600], gamma=0.5)]
