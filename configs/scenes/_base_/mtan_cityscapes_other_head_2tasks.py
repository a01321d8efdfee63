"""Tasks of MTAN's Cityscapes whose heads are another one than ASPP; its type and inputs follow."""

_base_ = ['mtan_cityscapes_2tasks.py']

_head = dict(_delete_=True, channels=256, norm_cfg=dict(type='BN'), align_corners=False)
_loss = dict(type='CrossEntropyLoss', avg_non_ignore=True)
tasks = dict(
    seg=dict(model=dict(decode_head=dict(**_head, num_classes=7, loss_decode=_loss))),
    disparity=dict(model=dict(decode_head=_head)),
)
