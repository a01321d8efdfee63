"""Five tasks of Taskonomy in one Swin-T of upstream's and one pass: AdaShare's.

    python tools/train.py configs/scenes/upstream-swin-t_taskonomy-5tasks.py

The recipe of AutoTaskFormer, and references that are those of its Swin-T; see
swin-t_taskonomy-16tasks.py. Expected: not measured.
"""

_base_ = [
    '_base_/joint_upstream-swin-t.py',
    '_base_/taskonomy_5tasks.py',
    '_base_/taskonomy_schedule.py',
]

train_cfg = dict(type='MultiTaskTrainLoop')
