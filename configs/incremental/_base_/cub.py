"""CUB-200-2011 at 384 x 384 as a new task `cub`: 5,994 images, 750 steps of 8 an epoch.

The recipe of the paper (supplement, F): SGD, 0.01, cosine, weight decay 5e-4, 100 epochs; the
momentum is that of mmpretrain's configs of this data set. Crops and flips are theirs as well.
"""

_base_ = ['../../_base_/joint_runtime.py']

inherit = 'cls'
tasks = dict(
    cub=dict(
        config='mmpretrain::swin_transformer/swin-large_8xb8_cub-384px.py',
        score='accuracy/top1',
    )
)
max_iters = 100 * 750
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=max_iters, val_interval=10 * 750)
val_cfg = dict(type='MultiTaskValLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4),
    # Scores, where they are trained: decay would pull them to "specific".
    paramwise_cfg=dict(custom_keys={'.score': dict(decay_mult=0.0)}),
)
param_scheduler = dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters)
default_hooks = dict(checkpoint=dict(interval=10 * 750))
