"""AutoTaskFormer on Cityscapes: segmentation and depth, multi-scale skeletons, SegFormer's head.

    python tools/train.py configs/autotaskformer/s_cityscapes-2tasks_multi-scale.py

As s_cityscapes-2tasks_single-scale.py. Published (Table 2), 27.0 M parameters: 56.8 mIoU, 92.8
pixel accuracy, 0.012 absolute and 0.27 relative error, 78.8, 91.7 and 96.1 within 1.25, 1.25^2 and
1.25^3. Expected: not measured.
"""

_base_ = ['s_cityscapes-2tasks_single-scale.py']

backbone = dict(skeletons='multi-scale')
_segformer = dict(
    _delete_=True,
    type='SegformerHead',
    channels=256,
    norm_cfg=dict(type='BN'),
    align_corners=False,
)
_seg = dict(
    **_segformer, num_classes=19, loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)
)
tasks = dict(
    seg=dict(model=dict(decode_head=dict(skeletons='multi-scale', head=_seg))),
    depth=dict(model=dict(decode_head=dict(skeletons='multi-scale', head=_segformer))),
)
train_cfg = dict(step=dict(skeletons='multi-scale'))
