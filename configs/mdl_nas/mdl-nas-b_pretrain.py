"""Pre-training of the supernet of MDL-NAS-B on ImageNet-1K, everything shared.

python tools/train.py configs/mdl_nas/mdl-nas-b_pretrain.py

500 epochs of 1,281,167 images at 2,048 a step (626 steps an epoch), the first 20 of them warm-up;
64 images a GPU. The schedule counts all images; 10,000 of them are set aside, for a search to
score on (_base_/held_out.py).
Hardware of the paper: 32 V100. The paper gives no accuracy of the supernet.
"""

_base_ = ['_base_/mdl-nas-b.py', '_base_/held_out.py']

tasks = dict(cls={{_base_.held_out.cls}})
groups = dict(cls=32)
max_iters = 500 * 626
warmup_iters = 20 * 626
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=max_iters, val_interval=50 * 626)
val_cfg = dict(type='MultiTaskValLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, end=warmup_iters),
    dict(
        type='CosineAnnealingLR',
        by_epoch=False,
        begin=warmup_iters,
        T_max=max_iters - warmup_iters,
        eta_min=1e-5,
    ),
]
default_hooks = dict(checkpoint=dict(interval=5 * 626))
