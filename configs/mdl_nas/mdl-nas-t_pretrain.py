"""Pre-training of the supernet of MDL-NAS-T on ImageNet-1K, everything shared.

python tools/train.py configs/mdl_nas/mdl-nas-t_pretrain.py

300 epochs of 1,281,167 images at 1,024 a step (1,252 steps an epoch), the first 20 of them warm-
up; 64 images a GPU. The schedule counts all images; 10,000 of them are set aside, for a search to
score on (_base_/held_out.py).
Hardware: 16 GPUs, as upstream's Swin-T (the paper does not say); the final learning rate, too, is
upstream's. The paper gives no accuracy of the supernet.
"""

_base_ = ['_base_/mdl-nas-t.py', '_base_/held_out.py']

tasks = dict(
    cls=dict(
        # The norms of all stages, though just the last one learns here: dense tasks start from
        # them.
        backbone=dict(out_indices=(0, 1, 2, 3)),
        train_dataloader={{_base_.held_out.cls.train_dataloader}},
        search_dataloader={{_base_.held_out.cls.search_dataloader}},
    )
)
groups = dict(cls=16)
max_iters = 300 * 1252
warmup_iters = 20 * 1252
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=max_iters, val_interval=30 * 1252)
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
default_hooks = dict(checkpoint=dict(interval=5 * 1252))
