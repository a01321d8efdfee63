"""Three tasks for Swin-T and Swin-S; but for the sizes as for MDL-NAS-T."""

_base_ = ['../../mdl_nas/_base_/mdl-nas-t_joint.py']

backbone = dict(window_size=7)
tasks = dict(
    cls=dict(model=dict(head=dict(in_channels=768))),
    det=dict(model=dict(neck=dict(in_channels=[96, 192, 384, 768]))),
    seg=dict(
        model=dict(
            decode_head=dict(in_channels=[96, 192, 384, 768]),
            auxiliary_head=dict(in_channels=384),
        )
    ),
)
load_from = None
