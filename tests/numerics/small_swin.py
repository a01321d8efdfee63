"""A small Swin supernet with random weights, large enough for every kind of slice."""

import pytest
import torch
from numerics.small_vit import MIXED, SHARINGS, TASKS, build_vit, randomize

from mdl_nas_mm.families import ElasticSwin

RATIOS = dict(attn_share_ratio=(0, 0.3, 0.55, 1), ffn_share_ratio=(0, 0.25, 0.5, 0.8, 1))
# A head is 3 wide, so that heads * head_dim is rarely the embedding's width.
SPACE = [
    dict(embed_dim=(4, 6), depth=(1, 2), num_heads=(1, 2), mlp_ratio=(1, 2), **RATIOS),
    dict(embed_dim=(5, 8), depth=2, num_heads=[(1, 3), (2,)], mlp_ratio=(1.5, 2), **RATIOS),
    dict(embed_dim=(8, 9, 12), depth=(1, 3), num_heads=(1, 2, 3), mlp_ratio=(1, 1.3), **RATIOS),
    dict(embed_dim=(7, 10), depth=(1, 2), num_heads=(2, 3), mlp_ratio=(0.5, 1.5), **RATIOS),
]
# The same draw for all blocks of a stage.
PER_STAGE = [dict(stage, num_heads=(1, 2), per_stage=True) for stage in SPACE]
SHAPE = dict(patch_size=2, head_dim=3, window_size=(4, 3, 2, 2))


def build_swin(sharing='AllShared', seed=0, dtype=torch.float64, **changes) -> ElasticSwin:
    """An ElasticSwin whose every weight is random and of a size that matters."""
    torch.manual_seed(seed)
    config = {**dict(space=SPACE, sharing=sharing, tasks=TASKS), **SHAPE, **changes}
    return randomize(ElasticSwin(**config)).to(dtype)


# For what holds of every backbone.
BUILDERS = {
    'ViT': build_vit,
    'Swin': lambda *args, **changes: build_swin(*args, **{'pad_small_map': True, **changes}),
}
all_backbones = pytest.mark.parametrize('build', BUILDERS.values(), ids=BUILDERS)


def with_sharings(builders):
    """Parametrizes a test: the first builder with every sharing, the others with the mixed ones."""
    first, *others = builders
    pairs = [(first, name) for name in SHARINGS] + [(b, name) for b in others for name in MIXED]
    return pytest.mark.parametrize(
        ('build', 'sharing'),
        [(builders[builder], SHARINGS[name]) for builder, name in pairs],
        ids=[f'{builder}, {name}' for builder, name in pairs],
    )


backbones_with_sharings = with_sharings(BUILDERS)
