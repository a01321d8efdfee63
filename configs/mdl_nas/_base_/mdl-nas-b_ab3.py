"""AB3 of MDL-NAS-B: the sizes of AB1 for all tasks; just share ratios vary."""

_base_ = ['mdl-nas-b_joint.py']

subspace = dict(
    embed_dim=528,
    depth=16,
    num_heads=[[n] for n in (9, 10, 9, 10, 10, 10, 10, 10, 10, 9, 9, 9, 9, 9, 9, 9)],
    mlp_ratio=[[r] for r in (3.5, 3, 3, 3, 3, 3.5, 4, 4, 4, 4, 4, 3.5, 3, 4, 4, 3.5)],
    share_ratio=(0.4, 0.5, 0.6),
)
