"""Segmentation and depth of Cityscapes in one Swin-T and one pass.

    python tools/train.py configs/scenes/swin-t_cityscapes-2tasks.py

Sizes, loss weights, optimizer and schedule of AutoTaskFormer (Table 2 has Swin-T, from scratch);
its depth is MTAN's disparity, this is in metres. Expected: not measured.
"""

_base_ = ['_base_/joint_swin-t.py', '_base_/cityscapes_schedule.py']

# Delta_T: scores of tasks/cityscapes_*.py trained alone, as reference=dict(mIoU=...).
tasks = dict(
    seg=dict(config='tasks/cityscapes_seg.py', score='mIoU', images='cityscapes'),
    # A tenth of the distance counts as much as ten points of mIoU.
    depth=dict(
        config='tasks/cityscapes_depth.py',
        score=dict(metric='abs_rel', scale=100.0),
        images='cityscapes',
    ),
)
train_cfg = dict(type='MultiTaskTrainLoop')
