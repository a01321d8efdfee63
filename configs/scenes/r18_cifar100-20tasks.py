"""CIFAR100-MTL: twenty tasks of five classes in one ResNet-18 of upstream's.

    python tools/train.py configs/scenes/r18_cifar100-20tasks.py

No image is of two tasks, so that there is no image group: a step has a batch of each task. Loss
weights, optimizer and 75 epochs of ECMT, whose network is a ResNet-9. Expected: not measured.
"""

_base_ = ['../_base_/joint_runtime.py', '_base_/cifar100_20tasks.py']

custom_imports = dict(imports=['mdl_nas_mm.scenes'], allow_failed_imports=False)

backbone = dict(
    type='UpstreamBackbone',
    space='whole',
    module=dict(type='mmpretrain.ResNet_CIFAR', depth=18, out_indices=(3,)),
)
# Delta_T: accuracies of tasks/cifar100.py trained alone, as reference=...
# 75 epochs of 2,500 images, 256 of each task a step.
max_iters = 733
train_cfg = dict(type='MultiTaskTrainLoop', max_iters=max_iters, val_interval=100)
val_cfg = dict(type='MultiTaskValLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3, weight_decay=1e-4),
    # Of the mean over tasks, where published code adds up losses.
    paramwise_cfg=dict(custom_keys={'backbone.': dict(decay_mult=1 / 20)}),
)
default_hooks = dict(checkpoint=dict(interval=100))
