"""The largest ElasticSwin against the plain models of mmpretrain, mmdet and mmseg, all stages.

The latter two always pad small maps and shift the windows of maps of one window.
"""

import importlib

import pytest
import torch
from numerics.comparing import CLOSE
from numerics.small_swin import build_swin
from numerics.small_vit import draw_images

DEPTHS, HEADS = (2, 3, 2, 2), (1, 2, 4, 8)
SPACE = [
    dict(
        embed_dim=(4 << s, 6 << s), depth=(1, DEPTHS[s]), num_heads=(1, HEADS[s]), mlp_ratio=(2, 4)
    )
    for s in range(4)
]
# Maps of whole windows and others; in the last stage as large as a window and larger.
SIZES = [(56, 48), (61, 83), (49, 66)]
SMALL_SIZES = [(48, 24), (13, 30), (5, 4), (3, 70)]


def build(dtype=torch.float32, **changes):
    shape = dict(patch_size=2, head_dim=6, window_size=3)
    return build_swin(space=SPACE, dtype=dtype, **{**shape, **changes}).eval()


def upstream_key(key):
    """The key in upstream's models of a parameter of ours."""
    for ours, theirs in (
        ('patch_embed.proj', 'patch_embed.projection'),
        ('attn.', 'attn.w_msa.'),
        ('mlp.fc1', 'ffn.layers.0.0'),
        ('mlp.fc2', 'ffn.layers.1'),
    ):
        key = key.replace(ours, theirs)
    return key


def build_upstream(package, swin):
    """SwinTransformer of an upstream package with the weights of the largest of ours."""
    common = dict(patch_size=2, window_size=3, out_indices=(0, 1, 2, 3))
    if package == 'mmpretrain':
        arch = dict(embed_dims=6, depths=DEPTHS, num_heads=HEADS)
        settings = dict(arch=arch, pad_small_map=swin.pad_small_map)
    else:
        settings = dict(embed_dims=6, depths=DEPTHS, num_heads=HEADS, strides=(2, 2, 2, 2))
    module = importlib.import_module(f'{package}.models')
    upstream = module.SwinTransformer(**common, **settings)
    upstream.eval()
    state = {upstream_key(key): value for key, value in swin.state_dict().items()}
    missing, unexpected = upstream.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(key.endswith('relative_position_index') for key in missing)
    return upstream.to(next(swin.parameters()).dtype)


@pytest.mark.parametrize(
    ('package', 'pad_small_map'),
    [('mmpretrain', False), ('mmpretrain', True), ('mmdet', True), ('mmseg', True)],
)
@torch.no_grad()
def test_largest_equals_upstreams_model(package, pad_small_map):
    swin = build(pad_small_map=pad_small_map)
    upstream = build_upstream(package, swin)
    for size in SIZES + (SMALL_SIZES if pad_small_map else []):
        images = draw_images(size, dtype=torch.float32)
        for ours, theirs in zip(swin(images), upstream(images), strict=True):
            assert ours.is_contiguous()
            torch.testing.assert_close(ours, theirs, **CLOSE)


def test_gradients_equal_those_of_mmpretrain():
    """In double precision, where nothing but the order of operations differs."""
    swin = build(dtype=torch.float64)
    upstream = build_upstream('mmpretrain', swin)
    images = draw_images(SIZES[1])
    for model in (swin, upstream):
        sum((out * out.detach().sin()).sum() for out in model(images)).backward()
    parameters = dict(upstream.named_parameters())
    for name, parameter in swin.named_parameters():
        theirs = parameters.pop(upstream_key(name)).grad
        torch.testing.assert_close(parameter.grad, theirs, rtol=1e-9, atol=1e-9)
    assert not parameters
