"""What a backbone returns: which blocks, how wide, in which shape."""

import random
from fractions import Fraction

import pytest
import torch
from numerics.plain_vit import PlainViT, as_features, slice_supernet
from numerics.small_swin import all_backbones, build_swin
from numerics.small_vit import SHAPE, SPACE, build_vit, draw_images, draw_specs
from torch.func import functional_call

EXACT = dict(rtol=1e-10, atol=1e-10)
DEEP = dict(SPACE, depth=(1, 3, 4, 6, 8, 12))


@pytest.mark.parametrize('out_type', ['cls_token', 'avg_featmap', 'featmap'])
@pytest.mark.parametrize('out_channels', [None, 21])
def test_outputs_are_padded_with_zeros_to_one_width(out_type, out_channels):
    vit = build_vit('Sequential', out_type=out_type, out_channels=out_channels)
    assert vit.out_channels == (out_channels or 16)
    for spec in draw_specs(vit, 4):
        (out,) = vit.forward_subnet(draw_images((9, 14)), 'a', spec)
        width = spec.stages[0].embed_dim
        maps = (3, 4) if out_type == 'featmap' else ()
        assert out.shape == (2, vit.out_channels, *maps)
        assert out.is_contiguous() or out_type != 'featmap'
        assert not out[:, width:].any()
        assert (out[:, :width] != 0).all()


@pytest.mark.parametrize('size', [(20, 28), (17, 23), (5, 70)])
def test_maps_of_a_swin_are_padded_with_zeros_to_the_widest_of_their_stage(size):
    """Each half as large as the one before, a rest counting as a whole."""
    swin = build_swin('Sequential', pad_small_map=True)
    for spec in draw_specs(swin, 4):
        maps = swin.forward_subnet(draw_images(size), 'a', spec)
        for s, (out, stage, widest) in enumerate(zip(maps, spec.stages, (6, 8, 12, 10))):
            sides = [-(-side // 2 ** (s + 1)) for side in size]
            assert out.shape == (2, widest, *sides)
            assert out.is_contiguous()
            assert not out[:, stage.embed_dim :].any()
            assert (out[:, : stage.embed_dim] != 0).all()
        assert len(maps) == 4


@pytest.mark.parametrize('indices', [(0, 1, 2, 3), (3,), (3, 1), (0,)])
def test_stages_of_a_swin_in_the_asked_order(indices):
    whole = build_swin('Sequential')
    swin = build_swin('Sequential', out_indices=indices)
    swin.load_state_dict(whole.state_dict(), strict=False)
    images, spec = draw_images((20, 28)), whole.space.largest()
    every = whole.forward_subnet(images, 'a', spec)
    maps = swin.forward_subnet(images, 'a', spec)
    for ours, index in zip(maps, indices, strict=True):
        assert torch.equal(ours, every[index])
    assert build_swin(out_indices=indices[0]).out_indices == indices[:1]
    norms = {name for name, _ in swin.named_children() if name.startswith('norm')}
    assert norms == {f'norm{index}' for index in indices}


def test_padding_equals_slicing_the_layer_behind():
    """A linear map of the padded output is its first columns applied to the narrow one."""
    vit = build_vit('Sequential')
    head = torch.nn.Linear(vit.out_channels, 3).double()
    spec = vit.space.smallest()
    (out,) = vit.forward_subnet(draw_images((12, 16)), 'a', spec)
    narrow = out[:, :8] @ head.weight[:, :8].T + head.bias
    torch.testing.assert_close(head(out), narrow, **EXACT)


@pytest.mark.parametrize('indices', [(2, 5, 8, 11), (0,), (-1,), (11, 3), (-12, -1), (0, 1, 2, 3)])
def test_blocks_lie_at_the_same_fraction_of_the_depth(indices):
    vit = build_vit(space=DEEP, out_indices=indices)
    deepest = 12
    for depth in DEEP['depth']:
        rng = random.Random(depth)
        spec = next(s for s in iter(lambda r=rng: vit.space.sample(r), None) if s.depth == depth)
        expected = []
        for index in indices:
            fraction = Fraction(index % deepest + 1, deepest)
            # The first block behind which at least that fraction of the depth is done.
            expected.append(next(b for b in range(depth) if Fraction(b + 1, depth) >= fraction))
        assert vit.wanted_blocks('a', spec) == expected
        assert len(vit.forward_subnet(draw_images((4, 4)), 'a', spec)) == len(indices)
        if depth == deepest:
            assert expected == [index % deepest for index in indices]


def test_features_of_chosen_blocks_equal_the_plain_models():
    """In the asked order; the final norm is applied to the last block only."""
    vit = build_vit(
        'Sequential', space=dict(SPACE, depth=(2, 3, 4)), out_type='featmap', out_indices=(3, 0, 1)
    )
    images, parameters = draw_images((12, 16)), dict(vit.named_parameters())
    for spec in draw_specs(vit, 6):
        state = slice_supernet(parameters, spec, vit.sharing, 'b', SHAPE['head_dim'])
        tokens, grid = functional_call(PlainViT(spec, **SHAPE), state, (images,))
        features = vit.forward_subnet(images, 'b', spec)
        for ours, block in zip(features, vit.wanted_blocks('b', spec), strict=True):
            theirs = as_features(tokens[block], grid, True, 'featmap')
            torch.testing.assert_close(ours[:, : theirs.shape[1]], theirs, **EXACT)


def test_each_task_has_its_own_outputs():
    vit = build_vit(
        'Sequential',
        out_type=dict(a='cls_token', b='featmap'),
        out_indices=dict(a=(-1,), b=(0, -1)),
    )
    images, spec = draw_images((12, 16)), vit.space.largest()
    (token,) = vit.forward_subnet(images, 'a', spec)
    assert token.shape == (2, 16)
    first, last = vit.forward_subnet(images, 'b', spec)
    assert first.shape == last.shape == (2, 16, 3, 4)
    alone = build_vit('Sequential', out_type='featmap', out_indices=(0, -1))
    for ours, theirs in zip((first, last), alone.forward_subnet(images, 'b', spec), strict=True):
        assert torch.equal(ours, theirs)


@all_backbones
def test_images_of_a_batch_do_not_influence_each_other(build):
    backbone = build('Mask')
    spec, images = backbone.space.largest(), draw_images((9, 14), batch=3)
    together = backbone.forward_subnet(images, 'a', spec)
    for i in range(3):
        alone = backbone.forward_subnet(images[i : i + 1], 'a', spec)
        for ours, theirs in zip(together, alone, strict=True):
            torch.testing.assert_close(ours[i : i + 1], theirs, **EXACT)


@all_backbones
def test_pixels_beyond_the_border_count_as_zero(build):
    backbone = build()
    spec, images = backbone.space.largest(), draw_images((9, 13))
    patch = backbone.shape.patch_size
    padded = torch.nn.functional.pad(images, (0, -13 % patch, 0, -9 % patch))
    assert padded.shape[-2:] in ((12, 16), (10, 14))
    for ours, theirs in zip(
        backbone.forward_subnet(images, None, spec),
        backbone.forward_subnet(padded, None, spec),
        strict=True,
    ):
        assert torch.equal(ours, theirs)
