"""Segmentation and depth of Cityscapes in one ResNet-50 of upstream's and one pass.

    python tools/train.py configs/scenes/r50_cityscapes-2tasks.py

Heads are DeepLabV3's; sizes, optimizer and schedule of AutoTaskFormer. Expected: not measured.
"""

_base_ = ['_base_/joint_r50.py', '_base_/cityscapes_2tasks.py', '_base_/cityscapes_schedule.py']

_head = dict(type='ASPPHead', in_channels=2048, in_index=0, dilations=(1, 12, 24, 36))
# Delta_T: scores of such models of one task, as reference=dict(mIoU=...).
tasks = {name: dict(model=dict(decode_head=_head)) for name in ('seg', 'depth')}
train_cfg = dict(type='MultiTaskTrainLoop')
default_hooks = dict(checkpoint=dict(interval=3719))
