"""Five tasks of Taskonomy in one elastic architecture up to ViT-B and one pass: AdaShare's.

    python tools/train.py configs/scenes/vit-b_taskonomy-5tasks.py

The recipe of AutoTaskFormer, and references that are those of its Swin-T; see
swin-t_taskonomy-16tasks.py. Which architecture is deposited is found by a search.
Expected: not measured.
"""

_base_ = [
    '_base_/joint_vit-b.py',
    '_base_/taskonomy_5tasks.py',
    '_base_/taskonomy_schedule.py',
]

_names = ('semseg', 'depth', 'normals', 'keypoints2d', 'edges2d')
backbone = dict(img_size=224)
tasks = {name: dict(model=dict(decode_head=dict(in_index=0))) for name in _names}
# The smallest, a random and the largest architecture a step.
train_cfg = dict(type='MultiTaskTrainLoop', sampler=dict(type='SandwichSampler', num_random=1))
