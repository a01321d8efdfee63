"""Heads and hidden channels are sorted by importance, and nothing else changes."""

from dataclasses import replace

import pytest
import torch
from inheriting import (
    IMAGE,
    LARGE,
    assert_same,
    assert_unchanged,
    elastic_swin,
    elastic_vit,
    pretrain_swin,
    pretrain_vit,
    snapshot,
)
from numerics.published_weights import randomize
from refusals import raises_naming

from mdl_nas_mm.spec import SubnetSpec

HEAD_DIM = 8
# Spaces whose largest architectures are a small DeiT and a small Swin.
VIT_ZOO = dict(
    embed_dim=(12, 16),
    depth=(2, 3),
    num_heads=(1, 2),
    mlp_ratio=(1, 1.5, 2),
    share_ratio=(0.5, 0.9),
)
SWIN_ZOO = [
    dict(
        embed_dim=(6 << i, 8 << i),
        depth=(1, depth) if depth > 1 else 1,
        num_heads=(1, 1 << i) if i else 1,
        mlp_ratio=(2, 3, 4),
        share_ratio=(0.3, 0.6),
    )
    for i, depth in enumerate((2, 1, 3, 1))
]


def build(family, random=True, **changes):
    """An elastic backbone of either family with three choices a width, and images for it."""
    if family == 'ViT':
        space = dict(VIT_ZOO, num_heads=(1, 2, 3), mlp_ratio=(1, 2))
        backbone, images = elastic_vit(space, max_relative_position=3, **changes), IMAGE
    else:
        space = [dict(stage, num_heads=(1, 2, 3)) for stage in SWIN_ZOO]
        backbone, images = elastic_swin(space, **changes), LARGE
    return (randomize(backbone) if random else backbone), images


def blocks_of(backbone):
    return [m for m in backbone.modules() if hasattr(m, 'attn') and hasattr(m, 'mlp')]


def head_norms(attn):
    return attn.proj.weight.abs().sum(0).view(-1, HEAD_DIM).sum(1)


families = pytest.mark.parametrize('family', ['ViT', 'Swin'])


@families
def test_largest_computes_the_same(family):
    backbone, images = build(family)
    expected, initial = backbone(images), snapshot(backbone)
    backbone.reorder_by_importance()
    assert_same(backbone(images), expected)
    for name, block in backbone.named_modules():
        if hasattr(block, 'attn') and hasattr(block, 'mlp'):
            weight = initial[f'{name}.mlp.fc2.weight']
            assert not torch.equal(block.mlp.fc2.weight, weight)
            norms = head_norms(block.attn), block.mlp.fc2.weight.abs().sum(0)
            assert all((norm.diff() <= 0).all() for norm in norms)


def thin(backbone):
    """The largest architecture with one head a block and half of the hidden channels."""
    stages = [
        replace(
            stage,
            blocks=tuple(replace(b, num_heads=1, mlp_ratio=b.mlp_ratio / 2) for b in stage.blocks),
        )
        for stage in backbone.space.largest().stages
    ]
    return SubnetSpec(tuple(stages))


@families
def test_smaller_ones_lose_what_matters_least(family):
    """Here all that matters is the last head and the last half of the channels."""
    backbone, images = build(family)
    with torch.no_grad():
        for block in blocks_of(backbone):
            block.attn.proj.weight[:, :-HEAD_DIM] = 0
            block.mlp.fc2.weight[:, : block.mlp.fc2.weight.shape[1] // 2] = 0
    expected, spec = backbone(images), thin(backbone)
    without = backbone.forward_subnet(images, None, spec)
    assert not any(torch.allclose(a, b, atol=1e-3) for a, b in zip(without, expected, strict=True))
    backbone.reorder_by_importance()
    assert_same(backbone.forward_subnet(images, None, spec), expected)


@families
@pytest.mark.parametrize('sharing', ['Sequential', 'Mask', 'AllSpecific'])
def test_weights_of_the_tasks_are_sorted_alike(family, sharing):
    """Freshly inherited, they are those of the shared layers; so they stay."""
    settings = dict(sharing=sharing, tasks=('a', 'b'))
    source, images = build(family)
    backbone, _ = build(family, random=False, **settings)
    backbone.inherit(source.state_dict(), reorder=True)
    source.reorder_by_importance()
    for task in ('a', 'b'):
        for spec in (backbone.space.largest(0), backbone.space.largest(), thin(backbone)):
            theirs = source.forward_subnet(images, None, spec)
            assert_same(backbone.forward_subnet(images, task, spec), theirs)


@families
def test_weights_that_differ_between_tasks_are_refused(family):
    backbone, _ = build(family, sharing='Sequential', tasks=('a', 'b'), random=False)
    own = {k: p for k, p in backbone.named_parameters() if k.endswith('qkv.specific.b.weight')}
    next(iter(own.values())).data[0, 0] += 1
    before = snapshot(backbone)
    with raises_naming(ValueError, 'blocks.0.attn.qkv.weight'):
        backbone.reorder_by_importance()
    assert_unchanged(backbone, before)


@pytest.mark.parametrize('reorder', [False, True])
@families
def test_zoo_models_start_a_space_below_them(family, reorder):
    """The largest architecture answers as the plain model, whatever the order."""
    if family == 'ViT':
        model, backbone, images = pretrain_vit(), elastic_vit(VIT_ZOO), IMAGE
    else:
        model, backbone, images = pretrain_swin(), elastic_swin(SWIN_ZOO), LARGE
    report = backbone.inherit(model.state_dict(), reorder=reorder)
    assert not report.missing and not report.cut and not report.resized
    assert_same(backbone(images), model(images))
    small = backbone.forward_subnet(images, None, backbone.space.smallest())
    assert all(torch.isfinite(out).all() for out in small)
