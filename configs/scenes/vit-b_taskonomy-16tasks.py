"""Sixteen tasks of Taskonomy's tiny split in one elastic architecture up to ViT-B and one pass.

    python tools/train.py configs/scenes/vit-b_taskonomy-16tasks.py

The recipe of AutoTaskFormer, and references that are those of its Swin-T; see
swin-t_taskonomy-16tasks.py. Which architecture is deposited is found by a search.
Expected: not measured.
"""

_base_ = [
    '_base_/joint_vit-b.py',
    '_base_/taskonomy_16tasks.py',
    '_base_/taskonomy_schedule.py',
]

_names = (
    *('class_object', 'class_scene', 'vanishing_points', 'semseg', 'depth_euclidean', 'depth'),
    *('edges2d', 'edges3d', 'keypoints2d', 'keypoints3d', 'normals', 'curvature', 'reshading'),
    *('autoencoding', 'segment_unsup2d', 'segment_unsup25d'),
)
backbone = dict(img_size=224, init_cfg=None)
tasks = {name: dict(model=dict(decode_head=dict(in_index=0))) for name in _names}
# The smallest, a random and the largest architecture a step.
train_cfg = dict(type='MultiTaskTrainLoop', sampler=dict(type='SandwichSampler', num_random=1))
