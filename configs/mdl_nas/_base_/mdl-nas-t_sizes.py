"""The sizes of MDL-NAS-T's space without share ratios, for what is wholly shared or specific."""

_base_ = ['mdl-nas-t_joint.py']

backbone = dict(
    space=[
        dict(
            embed_dim=(96, 128),
            depth=2,
            num_heads=(2, 3),
            mlp_ratio=(2, 2.5, 3),
            per_stage=True,
        ),
        dict(
            embed_dim=(160, 192),
            depth=2,
            num_heads=(5, 6),
            mlp_ratio=(2.5, 3, 3.5),
            per_stage=True,
        ),
        dict(
            embed_dim=(416, 448),
            depth=(7, 8),
            num_heads=(11, 12, 13),
            mlp_ratio=(3.5, 4, 4.5),
            per_stage=True,
        ),
        dict(
            embed_dim=(704, 736),
            depth=(1, 2),
            num_heads=(19, 20, 21),
            mlp_ratio=(3.5, 4, 4.5),
            per_stage=True,
        ),
    ]
)
