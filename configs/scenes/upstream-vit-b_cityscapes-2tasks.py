"""Segmentation and depth of Cityscapes in one ViT-B of upstream's and one pass.

    python tools/train.py configs/scenes/upstream-vit-b_cityscapes-2tasks.py

Sizes, optimizer and schedule of AutoTaskFormer; depth is in metres. Expected: not measured.
"""

_base_ = [
    '_base_/joint_upstream-vit-b.py',
    '_base_/cityscapes_2tasks.py',
    '_base_/cityscapes_schedule.py',
]

# Delta_T: scores of such models of one task, as reference=dict(mIoU=...).
_head = dict(type='FCNHead', in_channels=768, in_index=0)
backbone = dict(module=dict(img_size=(256, 256)))
tasks = {name: dict(model=dict(decode_head=_head)) for name in ('seg', 'depth')}
train_cfg = dict(type='MultiTaskTrainLoop')
