"""Five tasks of Taskonomy in one ResNet-50 of upstream's and one pass: AdaShare's.

    python tools/train.py configs/scenes/r50_taskonomy-5tasks.py

The recipe of AutoTaskFormer, and references that are those of its Swin-T; see
swin-t_taskonomy-16tasks.py. Expected: not measured.
"""

_base_ = [
    '_base_/joint_r50.py',
    '_base_/taskonomy_5tasks.py',
    '_base_/taskonomy_schedule.py',
]

_names = ('semseg', 'depth', 'normals', 'keypoints2d', 'edges2d')
_head = dict(in_channels=2048, in_index=0)
tasks = {name: dict(model=dict(decode_head=_head)) for name in _names}
train_cfg = dict(type='MultiTaskTrainLoop')
default_hooks = dict(checkpoint=dict(interval=4063))
