"""ECMT on CIFAR100-MTL: twenty tasks of five classes in one slimmable ResNet-9.

    python tools/train.py configs/scenes/ecmt-r9_cifar100-20tasks.py

Then docs/ecmt.md: predictor, control, hypervolume. Settings of the paper: 75 epochs, batches of 256
images, here of each task, Adam 1e-3, lambda 0.01, weights from scratch, 150 search cycles,
hypervolume to 1, alpha 1. Its numbers:

    largest, 72.92 GMACs            HV 0.0089, one static model
    controlled, 38.40 and 72.92     HV 0.0026 and 0.0082, 0.02M control parameters

72.92 GMACs would be those of a batch of 256 images, 0.28 each. Here an image of the largest model
has 0.379 GMACs, of the smallest 0.016: half of the largest is 190M. The learning rate stays as it
is, as the paper names no schedule here. Expected: not measured.
"""

_base_ = ['_base_/ecmt.py', '_base_/cifar100_20tasks.py']

backbone = dict(
    type='ElasticResNet9', space='ecmt-cifar', sharing='AllShared', out_indices=(3,), init_cfg=None
)
tasks = {{_base_.slim}}
control = dict(reference=1.0, alpha=1.0, cycles=150)
# 75 epochs of 2,250 images, 256 of each task a step.
max_iters = 660
train_cfg = dict(max_iters=max_iters, val_interval=110, step=dict(kd_weight=0.01))
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(custom_keys={'backbone.': dict(decay_mult=1 / 20)}),
)
default_hooks = dict(checkpoint=dict(interval=110))
