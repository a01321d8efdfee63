"""AB3 of MDL-NAS-T: the sizes of AB1 for all tasks; just share ratios vary."""

_base_ = ['mdl-nas-t_joint.py']

subspace = [
    dict(
        embed_dim=128,
        depth=2,
        num_heads=3,
        mlp_ratio=2,
        attn_share_ratio=(0.5, 0.7, 0.9),
        ffn_share_ratio=(0.5, 0.7, 0.9),
        per_stage=True,
    ),
    dict(
        embed_dim=160,
        depth=2,
        num_heads=5,
        mlp_ratio=3,
        attn_share_ratio=(0.5, 0.7, 0.9),
        ffn_share_ratio=(0.5, 0.7, 0.9),
        per_stage=True,
    ),
    dict(
        embed_dim=448,
        depth=8,
        num_heads=13,
        mlp_ratio=4,
        attn_share_ratio=(0.3, 0.5, 0.7),
        ffn_share_ratio=(0.3, 0.5, 0.7),
        per_stage=True,
    ),
    dict(
        embed_dim=704,
        depth=1,
        num_heads=20,
        mlp_ratio=4.5,
        attn_share_ratio=(0.1, 0.3, 0.5),
        ffn_share_ratio=(0.1, 0.3, 0.5),
        per_stage=True,
    ),
]
