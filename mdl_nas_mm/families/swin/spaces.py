"""Search spaces of published work by name.

A name without ``elastic`` and outside of the papers on search is one published architecture.
"""

from __future__ import annotations

from collections.abc import Sequence


def _swin(embed_dim: int, depths: Sequence[int]) -> list[dict]:
    return [
        dict(embed_dim=embed_dim << i, depth=depth, num_heads=(embed_dim << i) // 32, mlp_ratio=4)
        for i, depth in enumerate(depths)
    ]


_SHARE_RATIOS = ((0.5, 0.7, 0.9), (0.5, 0.7, 0.9), (0.3, 0.5, 0.7), (0.1, 0.3, 0.5))


def _elastic_swin(third_stage_depths: Sequence[int]) -> list[dict]:
    """Choices up to Swin-T or Swin-S; share ratios as in the paper's Swin space."""
    embed_dims = ((80, 96), (160, 192), (320, 352, 384), (640, 704, 768))
    num_heads = ((2, 3), (5, 6), (10, 11, 12), (20, 22, 24))
    depths = ((2,), (2,), tuple(third_stage_depths), (1, 2))
    return [
        dict(
            embed_dim=embed_dims[i],
            depth=depths[i],
            num_heads=num_heads[i],
            mlp_ratio=(3, 3.5, 4),
            attn_share_ratio=_SHARE_RATIOS[i],
            ffn_share_ratio=_SHARE_RATIOS[i],
        )
        for i in range(4)
    ]


def _mdl_nas_t() -> list[dict]:
    """The paper's Swin space (supplement, B; widths of stage 4 as in its Table 2)."""
    embed_dims = ((96, 128), (160, 192), (416, 448), (704, 736))
    num_heads = ((2, 3), (5, 6), (11, 12, 13), (19, 20, 21))
    mlp_ratios = ((2, 2.5, 3), (2.5, 3, 3.5), (3.5, 4, 4.5), (3.5, 4, 4.5))
    depths = ((2,), (2,), (7, 8), (1, 2))
    return [
        dict(
            embed_dim=embed_dims[i],
            depth=depths[i],
            num_heads=num_heads[i],
            mlp_ratio=mlp_ratios[i],
            attn_share_ratio=_SHARE_RATIOS[i],
            ffn_share_ratio=_SHARE_RATIOS[i],
            per_stage=True,
        )
        for i in range(4)
    ]


SPACES: dict[str, list[dict]] = {
    # MDL-NAS (supplement, B).
    'mdl-nas-t': _mdl_nas_t(),
    # Single published architectures.
    'swin-t': _swin(96, (2, 2, 6, 2)),
    'swin-s': _swin(96, (2, 2, 18, 2)),
    'swin-b': _swin(128, (2, 2, 18, 2)),
    'swin-l': _swin(192, (2, 2, 18, 2)),
    # Spaces below them, to be started from the weights of their largest architecture.
    'swin-t-elastic': _elastic_swin((4, 5, 6)),
    'swin-s-elastic': _elastic_swin((14, 16, 18)),
}
