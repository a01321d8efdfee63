"""Tasks of MTAN's Cityscapes behind a ViT-B: an FCN on its one map."""

_base_ = ['mtan_cityscapes_other_head_2tasks.py']

_head = dict(type='FCNHead', in_channels=768, in_index=0)
tasks = dict(
    seg=dict(model=dict(decode_head=_head)),
    disparity=dict(model=dict(decode_head=_head)),
)
