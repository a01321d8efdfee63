"""Segmentation and disparity of MTAN's Cityscapes in one architecture up to ViT-B, one pass.

    python tools/train.py configs/scenes/vit-b_mtan-cityscapes-2tasks.py

Recipe of LibMTL, whose network is a ResNet-50; heads are FCNs. Expected: not measured.
"""

_base_ = [
    '_base_/joint_vit-b.py',
    '_base_/mtan_cityscapes_vit-b_2tasks.py',
    '_base_/mtan_cityscapes_schedule.py',
]

# Delta_T: scores of such models of one task, as reference=dict(mIoU=...).
backbone = dict(img_size=(128, 256))
# The smallest, a random and the largest architecture a step.
train_cfg = dict(type='MultiTaskTrainLoop', sampler=dict(type='SandwichSampler', num_random=1))
default_hooks = dict(checkpoint=dict(interval=460))
