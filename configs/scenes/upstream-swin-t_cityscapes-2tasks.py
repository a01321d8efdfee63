"""Segmentation and depth of Cityscapes in one Swin-T of upstream's and one pass.

    python tools/train.py configs/scenes/upstream-swin-t_cityscapes-2tasks.py

Sizes, optimizer and schedule of AutoTaskFormer; depth is in metres. Expected: not measured.
"""

_base_ = [
    '_base_/joint_upstream-swin-t.py',
    '_base_/cityscapes_2tasks.py',
    '_base_/cityscapes_schedule.py',
]

# Delta_T: scores of tasks/cityscapes_*.py trained alone, as reference=dict(mIoU=...).
train_cfg = dict(type='MultiTaskTrainLoop')
