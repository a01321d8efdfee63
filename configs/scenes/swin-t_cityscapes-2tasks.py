"""Segmentation and depth of Cityscapes in one Swin-T and one pass.

    python tools/train.py configs/scenes/swin-t_cityscapes-2tasks.py

Sizes, loss weights, optimizer and schedule of AutoTaskFormer (Table 2 has Swin-T, from scratch);
its depth is MTAN's disparity, this is in metres. Expected: not measured.
"""

_base_ = [
    '_base_/joint_swin-t.py',
    '_base_/cityscapes_2tasks.py',
    '_base_/cityscapes_schedule.py',
]

# Delta_T: scores of tasks/cityscapes_*.py trained alone, as reference=dict(mIoU=...).
train_cfg = dict(type='MultiTaskTrainLoop')
