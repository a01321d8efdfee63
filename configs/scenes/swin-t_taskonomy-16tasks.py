"""Sixteen tasks of Taskonomy's tiny split in one Swin-T and one pass.

    python tools/train.py configs/scenes/swin-t_taskonomy-16tasks.py

Recipe, loss weights and references of AutoTaskFormer (Table 7, Swin-T), which trains from scratch.
Its scores are of images of 224 x 224, and those of distances and segments depend on definitions
that it does not tell: for a Delta_T of all tasks train these of tasks/ alone and give their scores.
Expected: not measured.
"""

_base_ = [
    '_base_/joint_swin-t.py',
    '_base_/taskonomy_16tasks.py',
    '_base_/taskonomy_schedule.py',
]

backbone = dict(init_cfg=None)
train_cfg = dict(type='MultiTaskTrainLoop')
