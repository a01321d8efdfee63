"""The supernet of MDL-NAS-T-AB4: a layer is shared wholly or not at all (supplement, I).

python tools/train.py configs/mdl_nas/mdl-nas-t_ab4_joint-1x.py

Trains on all images but those that a search scores on (_base_/held_out.py).
Hardware of the paper: 8 V100 for each of the three tasks (8+8+8). Its subnets are those of
mdl-nas-t_ab4_search.py.
"""

_base_ = ['_base_/mdl-nas-t_joint.py', '_base_/held_out.py', '_base_/joint_1x.py']

tasks = {{_base_.held_out}}
backbone = dict(
    space=[
        dict(
            embed_dim=(96, 128),
            depth=2,
            num_heads=(2, 3),
            mlp_ratio=(2, 2.5, 3),
            attn_share_ratio=(0, 1),
            ffn_share_ratio=(0, 1),
            per_stage=True,
        ),
        dict(
            embed_dim=(160, 192),
            depth=2,
            num_heads=(5, 6),
            mlp_ratio=(2.5, 3, 3.5),
            attn_share_ratio=(0, 1),
            ffn_share_ratio=(0, 1),
            per_stage=True,
        ),
        dict(
            embed_dim=(416, 448),
            depth=(7, 8),
            num_heads=(11, 12, 13),
            mlp_ratio=(3.5, 4, 4.5),
            attn_share_ratio=(0, 1),
            ffn_share_ratio=(0, 1),
            per_stage=True,
        ),
        dict(
            embed_dim=(704, 736),
            depth=(1, 2),
            num_heads=(19, 20, 21),
            mlp_ratio=(3.5, 4, 4.5),
            attn_share_ratio=(0, 1),
            ffn_share_ratio=(0, 1),
            per_stage=True,
        ),
    ],
    sharing='Sequential',
)
