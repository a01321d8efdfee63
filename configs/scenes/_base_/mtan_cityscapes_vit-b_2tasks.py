"""Tasks of MTAN's Cityscapes behind a ViT-B: an FCN on its one map."""

_base_ = ['mtan_cityscapes_2tasks.py']

_head = dict(
    _delete_=True,
    type='FCNHead',
    in_channels=768,
    in_index=0,
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
