"""The baseline MViTv2-T on sixteen tasks of Taskonomy: mmpretrain's, from scratch.

    python tools/train.py configs/scenes/mvitv2-t_taskonomy-16tasks.py

Published (Table 1): a Delta_T of 5.9 with 44.3 M parameters; MViTv2-S 5.6 with 55.0 M, MViTv2-B 6.7
with 71.5 M. Expected: not measured.
"""

_base_ = ['swin-t_taskonomy-16tasks.py']

backbone = dict(
    _delete_=True,
    type='UpstreamBackbone',
    space='whole',
    module=dict(type='mmpretrain.MViT', arch='tiny', out_scales=(0, 1, 2, 3), drop_path_rate=0.1),
)
