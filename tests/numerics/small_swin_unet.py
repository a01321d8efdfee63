"""A small tree of cells with random weights, large enough for every kind of slice."""

import torch
from numerics.small_swin import RATIOS
from numerics.small_vit import TASKS, randomize

from mdl_nas_mm.families import ElasticSwinUNet

# By level: a head is 3 wide, so that heads * head_dim is rarely the embedding's width.
LEVELS = [
    dict(embed_dim=(4, 6), depth=(1, 2), num_heads=(1, 2), mlp_ratio=(1, 2), window_side=(2, 3, 4)),
    dict(
        embed_dim=(5, 8), depth=2, num_heads=[(1, 3), (2,)], mlp_ratio=(1.5, 2), window_side=(2, 3)
    ),
    dict(embed_dim=(8, 9), depth=(1, 3), num_heads=(1, 2), mlp_ratio=(1, 1.3), window_side=(2, 5)),
    dict(
        embed_dim=(7, 10), depth=(1, 2), num_heads=(2, 3), mlp_ratio=(0.5, 1.5), window_side=(1, 3)
    ),
]
SPACE = [dict(level, **RATIOS) for level in LEVELS]
SHAPE = dict(patch_size=2, head_dim=3)


def build_swin_unet(sharing='AllShared', seed=0, dtype=torch.float64, **changes) -> ElasticSwinUNet:
    """An ElasticSwinUNet whose every weight is random and of a size that matters."""
    torch.manual_seed(seed)
    config = {**dict(space=SPACE, sharing=sharing, tasks=TASKS), **SHAPE, **changes}
    return randomize(ElasticSwinUNet(**config)).to(dtype)
