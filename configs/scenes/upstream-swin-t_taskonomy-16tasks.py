"""Sixteen tasks of Taskonomy's tiny split in one Swin-T of upstream's and one pass.

    python tools/train.py configs/scenes/upstream-swin-t_taskonomy-16tasks.py

The recipe of AutoTaskFormer, and references that are those of its Swin-T; see
swin-t_taskonomy-16tasks.py. Expected: not measured.
"""

_base_ = [
    '_base_/joint_upstream-swin-t.py',
    '_base_/taskonomy_16tasks.py',
    '_base_/taskonomy_schedule.py',
]

backbone = dict(module=dict(init_cfg=None))
train_cfg = dict(type='MultiTaskTrainLoop')
