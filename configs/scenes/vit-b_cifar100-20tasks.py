"""CIFAR100-MTL: twenty tasks of five classes in elastic architectures up to ViT-B.

    python tools/train.py configs/scenes/vit-b_cifar100-20tasks.py

Starts from ImageNet-1K, with images enlarged to 224 x 224. No paper has this network; 20 epochs of
AdamW are our choice. No image is of two tasks: a step has a batch of each. Expected: not measured.
"""

_base_ = [
    '_base_/joint_vit-b.py',
    '_base_/cifar100_20tasks.py',
    '_base_/cifar100_schedule.py',
]

tasks = {{_base_.enlarged}}
# Delta_T: accuracies of such models of one task, as reference=...
backbone = dict(img_size=224)
# The smallest, a random and the largest architecture a step.
train_cfg = dict(type='MultiTaskTrainLoop', sampler=dict(type='SandwichSampler', num_random=1))
default_hooks = dict(checkpoint=dict(interval=158))
