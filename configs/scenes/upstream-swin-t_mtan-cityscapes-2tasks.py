"""Segmentation and disparity of MTAN's Cityscapes in one Swin-T of upstream's and one pass.

    python tools/train.py configs/scenes/upstream-swin-t_mtan-cityscapes-2tasks.py

Recipe of LibMTL, whose network is a ResNet-50; heads are SegFormer's. Expected: not measured.
"""

_base_ = [
    '_base_/joint_upstream-swin-t.py',
    '_base_/mtan_cityscapes_swin-t_2tasks.py',
    '_base_/mtan_cityscapes_schedule.py',
]

# Delta_T: scores of such models of one task, as reference=dict(mIoU=...).
train_cfg = dict(type='MultiTaskTrainLoop')
default_hooks = dict(checkpoint=dict(interval=460))
