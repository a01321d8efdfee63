"""Segmentation, depth and normals of NYUD-v2 in one ResNet-50 of upstream's and one pass.

    python tools/train.py configs/scenes/r50_nyud-3tasks.py

Heads are DeepLabV3's. Optimizer, 100 epochs of 8 images a step and poly schedule of the multi-task
survey (Vandenhende et al., 2021), and of ECMT. Expected: not measured.
"""

_base_ = ['_base_/joint_r50.py', '_base_/nyud_3tasks.py']

# Delta_T: scores of such models of one task, as reference=dict(mIoU=...).
_head = dict(type='ASPPHead', in_channels=2048, in_index=0, dilations=(1, 12, 24, 36))
tasks = {name: dict(model=dict(decode_head=_head)) for name in ('seg', 'depth', 'normals')}
max_iters = 9938
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=max_iters, val_interval=994)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-4, weight_decay=1e-4),
    # Of the mean over tasks, where published code adds up losses.
    paramwise_cfg=dict(custom_keys={'backbone.': dict(decay_mult=1 / 3)}),
)
param_scheduler = [dict(type='PolyLR', by_epoch=False, end=max_iters, power=0.9, eta_min=0.0)]
default_hooks = dict(checkpoint=dict(interval=994))
