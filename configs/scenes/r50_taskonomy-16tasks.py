"""Sixteen tasks of Taskonomy's tiny split in one ResNet-50 of upstream's and one pass.

    python tools/train.py configs/scenes/r50_taskonomy-16tasks.py

The recipe of AutoTaskFormer, and references that are those of its Swin-T; see
swin-t_taskonomy-16tasks.py. Expected: not measured.
"""

_base_ = [
    '_base_/joint_r50.py',
    '_base_/taskonomy_16tasks.py',
    '_base_/taskonomy_schedule.py',
]

_names = (
    *('class_object', 'class_scene', 'vanishing_points', 'semseg', 'depth_euclidean', 'depth'),
    *('edges2d', 'edges3d', 'keypoints2d', 'keypoints3d', 'normals', 'curvature', 'reshading'),
    *('autoencoding', 'segment_unsup2d', 'segment_unsup25d'),
)
_head = dict(in_channels=2048, in_index=0)
backbone = dict(module=dict(init_cfg=None))
tasks = {name: dict(model=dict(decode_head=_head)) for name in _names}
train_cfg = dict(type='MultiTaskTrainLoop')
default_hooks = dict(checkpoint=dict(interval=4063))
