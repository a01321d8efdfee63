"""Sixteen tasks of Taskonomy's tiny split in one ViT-B of upstream's and one pass.

    python tools/train.py configs/scenes/upstream-vit-b_taskonomy-16tasks.py

The recipe of AutoTaskFormer, and references that are those of its Swin-T; see
swin-t_taskonomy-16tasks.py. Heads take the last of four maps. Expected: not measured.
"""

_base_ = [
    '_base_/joint_upstream-vit-b.py',
    '_base_/taskonomy_16tasks.py',
    '_base_/taskonomy_schedule.py',
]

backbone = dict(module=dict(img_size=224, out_indices=(2, 5, 8, 11), init_cfg=None))
train_cfg = dict(type='MultiTaskTrainLoop')
