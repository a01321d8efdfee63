"""Segmentation and depth of Cityscapes in one elastic architecture up to ViT-B and one pass.

    python tools/train.py configs/scenes/vit-b_cityscapes-2tasks.py

Sizes, optimizer and schedule of AutoTaskFormer; depth is in metres. Expected: not measured.
"""

_base_ = [
    '_base_/joint_vit-b.py',
    '_base_/cityscapes_2tasks.py',
    '_base_/cityscapes_schedule.py',
]

# Delta_T: scores of such models of one task, as reference=dict(mIoU=...).
_head = dict(type='FCNHead', in_channels=768, in_index=0)
backbone = dict(img_size=(256, 256))
tasks = {name: dict(model=dict(decode_head=_head)) for name in ('seg', 'depth')}
# The smallest, a random and the largest architecture a step.
train_cfg = dict(type='MultiTaskTrainLoop', sampler=dict(type='SandwichSampler', num_random=1))
