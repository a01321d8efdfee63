"""Segmentation, depth, normals and edges of NYUD-v2 in one ResNet-50 of upstream's and one pass.

    python tools/train.py configs/scenes/r50_nyud-4tasks.py

Model and recipe of the three tasks, see there; the weight of edges is that of ATRC and InvPT.
Expected: not measured.
"""

_base_ = ['r50_nyud-3tasks.py']

_head = dict(type='ASPPHead', in_channels=2048, in_index=0, dilations=(1, 12, 24, 36))
tasks = dict(
    edges=dict(
        config='mdl_nas_mm::scenes/tasks/nyud_edges.py',
        score='odsF',
        images='nyud',
        loss_weight=50.0,
        model=dict(decode_head=_head),
    )
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'backbone.': dict(decay_mult=1 / 4)}))
