"""ViTDet's pyramid from one map: sizes, and its numbers pixel by pixel."""

import math

import pytest
import torch
from numerics.small_vit import build_vit, draw_images
from refusals import raises_naming

from mdl_nas_mm.families.vit import SimpleFeaturePyramid
from mdl_nas_mm.registry import MODELS

EXACT = dict(rtol=1e-10, atol=1e-10)


def build(**changes):
    torch.manual_seed(0)
    pyramid = SimpleFeaturePyramid(**{**dict(in_channels=8, out_channels=6), **changes}).double()
    with torch.no_grad():
        for parameter in pyramid.parameters():
            parameter.normal_(std=0.3)
    return pyramid


def normalized(x, norm):
    """Over the channels of each place."""
    mean = x.mean(dim=1, keepdim=True)
    variance = (x - mean).square().mean(dim=1, keepdim=True)
    x = (x - mean) / (variance + 1e-6).sqrt()
    return x * norm.weight[:, None, None] + norm.bias[:, None, None]


def doubled(x, conv):
    """Every pixel becomes 2 x 2 pixels, each by a matrix of its own."""
    batch, _, height, width = x.shape
    out = x.new_zeros(batch, conv.weight.shape[1], 2 * height, 2 * width)
    for y in range(2 * height):
        for z in range(2 * width):
            matrix = conv.weight[:, :, y % 2, z % 2]
            out[:, :, y, z] = x[:, :, y // 2, z // 2] @ matrix + conv.bias
    return out


def halved(x):
    """The largest of 2 x 2 pixels; a last odd row or column falls away."""
    height, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    x = x[:, :, :height, :width]
    corners = [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return torch.stack(corners).max(dim=0).values


def convolved(x, conv):
    """A 1 x 1 or 3 x 3 convolution without bias, zeros beyond the border, and its norm."""
    weight = conv.conv.weight
    reach = weight.shape[-1] // 2
    batch, _, height, width = x.shape
    canvas = x.new_zeros(batch, x.shape[1], height + 2 * reach, width + 2 * reach)
    canvas[:, :, reach : reach + height, reach : reach + width] = x
    out = 0
    for i in range(2 * reach + 1):
        for j in range(2 * reach + 1):
            part = canvas[:, :, i : i + height, j : j + width]
            out = out + torch.einsum('oc,bchw->bohw', weight[:, :, i, j], part)
    return normalized(out, conv.norm)


def literal(pyramid, x):
    """Strides 4, 8, 16, 32 and 64 from a map of stride 16."""
    first, norm, _, second = pyramid.rescale[0]
    y = normalized(doubled(x, first), norm)
    y = y * (1 + torch.erf(y / math.sqrt(2))) / 2
    maps = [doubled(y, second), doubled(x, pyramid.rescale[1]), x, halved(x)]
    maps = [convolved(convolved(m, one), two) for m, (one, two) in zip(maps, pyramid.convs)]
    return maps + [maps[-1][:, :, ::2, ::2]]


@pytest.mark.parametrize('size', [(2, 2), (5, 7), (4, 6), (3, 2)])
def test_equals_the_pyramid_by_hand(size):
    pyramid, x = build(), draw_images(size).repeat(1, 3, 1, 1)[:, :8]
    for ours, theirs in zip(pyramid([x]), literal(pyramid, x), strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize('num_outs', [4, 5])
@pytest.mark.parametrize('size', [(64, 96), (80, 112), (75, 99)])
def test_strides_behind_a_backbone(size, num_outs):
    """From 4 to 64 pixels; an odd last row of patches has no pixel at the larger strides."""
    backbone = build_vit(
        'AllShared',
        img_size=64,
        patch_size=16,
        window_size=2,
        out_type='featmap',
        out_indices=(0, -1),
        dtype=torch.float32,
    )
    pyramid = MODELS.build(
        dict(type='SimpleFeaturePyramid', in_channels=16, out_channels=6, num_outs=num_outs)
    )
    inputs = backbone(draw_images(size, dtype=torch.float32))
    maps = pyramid(inputs)
    grid = [math.ceil(side / 16) for side in size]
    sides = [[side * 4 for side in grid], [side * 2 for side in grid], grid]
    sides.append([side // 2 for side in grid])
    sides.append([math.ceil(side / 2) for side in sides[-1]])
    assert [m.shape for m in maps] == [(2, 6, *side) for side in sides[:num_outs]]
    # Only the last map of the backbone counts.
    for ours, theirs in zip(maps, pyramid(inputs[-1:]), strict=True):
        assert torch.equal(ours, theirs)


def test_other_norms():
    pyramid = build(norm_cfg=dict(type='GN', num_groups=2), num_outs=4)
    assert isinstance(pyramid.rescale[0][1], torch.nn.GroupNorm)
    assert all(isinstance(conv.norm, torch.nn.GroupNorm) for pair in pyramid.convs for conv in pair)
    assert len(pyramid([draw_images((4, 4)).repeat(1, 3, 1, 1)[:, :8]])) == 4


@pytest.mark.parametrize('num_outs', [3, 6])
def test_number_of_maps_is_checked(num_outs):
    with raises_naming(ValueError, 'num_outs', num_outs, 4, 5):
        build(num_outs=num_outs)


@pytest.mark.parametrize('scales', [(2, 1, 0.5), (4, 1), (1,)])
def test_some_of_the_maps(scales):
    """They are those of the whole pyramid with the same weights."""
    whole, places = build(num_outs=4), [(4, 2, 1, 0.5).index(scale) for scale in scales]
    some = build(num_outs=len(scales), scale_factors=scales)
    for i, place in enumerate(places):
        for ours, theirs in ((some.rescale, whole.rescale), (some.convs, whole.convs)):
            ours[i].load_state_dict(theirs[place].state_dict())
    images = [draw_images((4, 4)).repeat(1, 3, 1, 1)[:, :8]]
    expected = whole(images)
    for ours, place in zip(some(images), places, strict=True):
        assert torch.equal(ours, expected[place])


@pytest.mark.parametrize('scales', [(), (1, 2), (3,), (2, 2)])
def test_other_scales_are_refused(scales):
    with raises_naming(ValueError, 'scale_factors' if scales else 'num_outs'):
        build(scale_factors=scales, num_outs=max(len(scales), 1))
