"""Search spaces of published work by name.

A name without ``elastic`` and outside of the papers on search is one published architecture.
"""

from __future__ import annotations

from collections.abc import Sequence


def _vit(embed_dim: int, depth: int) -> dict:
    return dict(embed_dim=embed_dim, depth=depth, num_heads=embed_dim // 64, mlp_ratio=4)


def _elastic_vit(embed_dims: Sequence[int], num_heads: Sequence[int]) -> dict:
    """Choices up to a plain ViT of depth 12, MLP ratio 4."""
    return dict(
        embed_dim=tuple(embed_dims),
        depth=(10, 11, 12),
        num_heads=tuple(num_heads),
        mlp_ratio=(3, 3.5, 4),
        share_ratio=(0.5, 0.7, 0.9),
    )


def _autoformer(embed_dim, depth, num_heads, mlp_ratio) -> dict:
    return dict(embed_dim=embed_dim, depth=depth, num_heads=num_heads, mlp_ratio=mlp_ratio)


SPACES: dict[str, dict] = {
    # AutoFormer (Chen et al., ICCV 2021, Table 1).
    'autoformer-t': _autoformer((192, 216, 240), (12, 13, 14), (3, 4), (3.5, 4)),
    'autoformer-s': _autoformer((320, 384, 448), (12, 13, 14), (5, 6, 7), (3, 3.5, 4)),
    'autoformer-b': _autoformer((528, 576, 624), (14, 15, 16), (8, 9, 10), (3, 3.5, 4)),
    # MDL-NAS (supplement, B).
    'mdl-nas-b': dict(
        embed_dim=(528, 576, 624),
        depth=16,
        num_heads=(8, 9, 10),
        mlp_ratio=(3, 3.5, 4),
        share_ratio=(0.4, 0.5, 0.6),
    ),
    # Single published architectures.
    'deit-t': _vit(192, 12),
    'deit-s': _vit(384, 12),
    'deit-b': _vit(768, 12),
    # Spaces below them, to be started from the weights of their largest architecture.
    'deit-s-elastic': _elastic_vit((320, 352, 384), (4, 5, 6)),
    'deit-b-elastic': _elastic_vit((640, 704, 768), (10, 11, 12)),
}
