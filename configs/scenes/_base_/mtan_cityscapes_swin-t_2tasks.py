"""Tasks of MTAN's Cityscapes behind a Swin-T: SegFormer's head on all four maps."""

_base_ = ['mtan_cityscapes_2tasks.py']

_head = dict(
    _delete_=True,
    type='SegformerHead',
    in_channels=[96, 192, 384, 768],
    in_index=[0, 1, 2, 3],
    channels=256,
    norm_cfg=dict(type='BN'),
    align_corners=False,
)
tasks = dict(
    seg=dict(
        model=dict(
            decode_head=dict(
                **_head,
                num_classes=7,
                loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
            )
        )
    ),
    disparity=dict(model=dict(decode_head=_head)),
)
