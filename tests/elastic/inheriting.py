"""Models of the upstream libraries with random weights, and backbones of their sizes."""

import torch
from mmdet.models.backbones.swin import SwinTransformer as DetSwin
from mmpretrain.models import SwinTransformer as PretrainSwin
from mmpretrain.models import VisionTransformer as PretrainViT
from numerics.published_weights import randomize

from mdl_nas_mm.families import ElasticSwin, ElasticViT

CLOSE = dict(rtol=1e-8, atol=1e-8)
# Heads of width 8; windows of 3 on maps of 24, 12, 6 and 3 at 96 pixels.
SWIN = dict(depths=(2, 1, 3, 1), num_heads=(1, 2, 4, 8))
SWIN_SPACE = [
    dict(embed_dim=8 << i, depth=depth, num_heads=1 << i, mlp_ratio=4)
    for i, depth in enumerate(SWIN['depths'])
]
VIT_SPACE = dict(embed_dim=16, depth=3, num_heads=2, mlp_ratio=2)
VIT = dict(img_size=24, patch_size=4, head_dim=8, max_relative_position=0, out_indices=(0, -1))
IMAGE = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
LARGE = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def elastic_vit(space=VIT_SPACE, **changes):
    torch.manual_seed(7)
    return ElasticViT(space, **{**VIT, 'out_type': 'featmap', **changes}).double()


def elastic_swin(space=SWIN_SPACE, **changes):
    torch.manual_seed(7)
    settings = dict(head_dim=8, window_size=3, **changes)
    return ElasticSwin(space, **settings).double().eval()


def pretrain_vit(out_type='featmap', **changes):
    arch = dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=32)
    settings = dict(img_size=24, patch_size=4, out_indices=[0, 2], out_type=out_type, **changes)
    return randomize(PretrainViT(arch, **settings))


def pretrain_swin(**changes):
    arch = dict(embed_dims=8, **SWIN)
    settings = dict(img_size=96, window_size=3, out_indices=(0, 1, 2, 3), **changes)
    return randomize(PretrainSwin(arch, **settings))


def dense_swin(kind=DetSwin, window_size=3, **changes):
    return randomize(kind(embed_dims=8, window_size=window_size, **SWIN, **changes))


def assert_same(ours, theirs, **tolerance):
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, **{**CLOSE, **tolerance})


def snapshot(backbone):
    return {key: value.clone() for key, value in backbone.state_dict().items()}


def assert_unchanged(backbone, before):
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


def before(prefix, state):
    """A state dict with something before its keys."""
    return {prefix + key: value for key, value in state.items()}
