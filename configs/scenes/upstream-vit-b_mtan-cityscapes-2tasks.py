"""Segmentation and disparity of MTAN's Cityscapes in one ViT-B of upstream's and one pass.

    python tools/train.py configs/scenes/upstream-vit-b_mtan-cityscapes-2tasks.py

Recipe of LibMTL, whose network is a ResNet-50; heads are FCNs. Expected: not measured.
"""

_base_ = [
    '_base_/joint_upstream-vit-b.py',
    '_base_/mtan_cityscapes_vit-b_2tasks.py',
    '_base_/mtan_cityscapes_schedule.py',
]

# Delta_T: scores of such models of one task, as reference=dict(mIoU=...).
backbone = dict(module=dict(img_size=(128, 256)))
train_cfg = dict(type='MultiTaskTrainLoop')
default_hooks = dict(checkpoint=dict(interval=460))
