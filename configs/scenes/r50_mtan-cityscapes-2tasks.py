"""Segmentation and disparity of MTAN's Cityscapes in one ResNet-50 of upstream's and one pass.

    python tools/train.py configs/scenes/r50_mtan-cityscapes-2tasks.py

Model and recipe of LibMTL. Expected: not measured.
"""

_base_ = [
    '_base_/joint_r50.py',
    '_base_/mtan_cityscapes_2tasks.py',
    '_base_/mtan_cityscapes_schedule.py',
]

# Delta_T: scores of tasks/mtan_cityscapes_*.py trained alone, as reference=dict(mIoU=...).
train_cfg = dict(type='MultiTaskTrainLoop')
default_hooks = dict(checkpoint=dict(interval=460))
