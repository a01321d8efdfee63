"""A small supernet with random weights, large enough for every kind of slice."""

import random

import torch

from mdl_nas_mm.families import ElasticViT
from mdl_nas_mm.spec import SubnetSpec

SPACE = dict(
    embed_dim=(8, 12, 16),
    depth=(1, 2, 3),
    num_heads=(1, 2, 3),
    mlp_ratio=(1, 1.5, 2.5),
    attn_share_ratio=(0, 0.3, 0.55, 1),
    ffn_share_ratio=(0, 0.25, 0.5, 0.8, 1),
)
SHAPE = dict(img_size=(20, 12), patch_size=4, head_dim=4, max_relative_position=2)
TASKS = ('a', 'b')
SHARINGS = {
    'shared': 'AllShared',
    'specific': 'AllSpecific',
    'sequential': 'Sequential',
    'mask': 'Mask',
    'mask by ratio': dict(type='Mask', threshold='ratio'),
    'mixed': dict(norm='AllSpecific', attn='Sequential', ffn='Mask'),
    'mixed otherwise': dict(
        norm='Mask', attn=dict(type='Mask', threshold='ratio'), ffn='AllShared'
    ),
}
# Where a policy matters no more than another: each of them is in one of the two.
MIXED = {name: SHARINGS[name] for name in ('mixed', 'mixed otherwise')}


def build_vit(sharing='AllShared', seed=0, dtype=torch.float64, **changes) -> ElasticViT:
    """An ElasticViT whose every weight is random and of a size that matters."""
    torch.manual_seed(seed)
    config = {**dict(space=SPACE, sharing=sharing, tasks=TASKS), **SHAPE, **changes}
    return randomize(ElasticViT(**config)).to(dtype)


def randomize(backbone):
    """Every weight anew, of a size that matters; scores of masks stay."""
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if not name.endswith('.score'):
                parameter.normal_(std=0.3)
                if 'norm' in name and name.endswith('weight'):
                    parameter.add_(1)
    return backbone


def draw_specs(backbone, count, seed=0) -> list[SubnetSpec]:
    """Largest and smallest at both ends of the share ratios, then ``count`` random ones."""
    rng, space = random.Random(seed), backbone.space
    ends = [space.largest(-1), space.largest(0), space.smallest(-1), space.smallest(0)]
    return ends + [space.sample(rng) for _ in range(count)]


def draw_images(size, batch=2, seed=0, dtype=torch.float64) -> torch.Tensor:
    """Images (batch, 3, height, width)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 3, *size, generator=generator, dtype=dtype)
