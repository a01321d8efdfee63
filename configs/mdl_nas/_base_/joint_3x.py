"""36 epochs of COCO at 16 images a step: 117,266 annotated images, 7,330 steps an epoch.

The same number of steps where 5,000 of them are set aside (held_out.py). The paper gives a cosine
schedule without more; the warm-up is that of mmdet's Swin configs.
"""

max_iters = 36 * 7330
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=max_iters, val_interval=4 * 7330)
val_cfg = dict(type='MultiTaskValLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, end=1000),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=1000, T_max=max_iters - 1000),
]
