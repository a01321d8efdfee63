"""Tasks of MTAN's Cityscapes behind a Swin-T: SegFormer's head on all four maps."""

_base_ = ['mtan_cityscapes_other_head_2tasks.py']

_head = dict(type='SegformerHead', in_channels=[96, 192, 384, 768], in_index=[0, 1, 2, 3])
tasks = dict(
    seg=dict(model=dict(decode_head=_head)),
    disparity=dict(model=dict(decode_head=_head)),
)
