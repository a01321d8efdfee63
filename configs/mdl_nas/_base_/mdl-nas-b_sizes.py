"""The sizes of MDL-NAS-B's space without share ratios, for what is wholly shared or specific."""

_base_ = ['mdl-nas-b_joint.py']

backbone = dict(
    space=dict(
        _delete_=True,
        embed_dim=(528, 576, 624),
        depth=16,
        num_heads=(8, 9, 10),
        mlp_ratio=(3, 3.5, 4),
    )
)
