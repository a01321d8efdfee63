"""Five tasks of Taskonomy in one Swin-T and one pass: AdaShare's.

    python tools/train.py configs/scenes/swin-t_taskonomy-5tasks.py

The recipe of the sixteen tasks, and their references; see there. Expected: not measured.
"""

_base_ = ['_base_/joint_swin-t.py', '_base_/taskonomy_5tasks.py', '_base_/taskonomy_schedule.py']

train_cfg = dict(type='MultiTaskTrainLoop')
