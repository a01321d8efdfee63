"""FLOPs in closed form against those that torch counts in a run of the plain model."""

import math

import pytest
from numerics import plain_swin, plain_vit
from numerics.counting import multiply_adds
from numerics.plain_swin_unet import plain_tree_of
from numerics.small_swin import PER_STAGE, build_swin
from numerics.small_swin_unet import build_swin_unet
from numerics.small_vit import SPACE, build_vit, draw_specs

from mdl_nas_mm.families.swin_unet import restrict, union
from mdl_nas_mm.families.vit.layout import global_blocks

SIZES = [(20, 28), (17, 22), (25, 18), (7, 39), (2, 2)]


def counted_plain(module, backbone, spec, size):
    """What the plain model of a subnet does, with its own weights."""
    plain, _ = module.plain_of(backbone, spec, None, dict(backbone.named_parameters()))
    return multiply_adds(plain, size)


def counted_elastic(backbone, spec, size):
    """What the elastic backbone does as a subnet."""
    backbone.arch = spec
    return multiply_adds(backbone, size)


def check(backbone, spec, size, counted):
    for count, attention_products in zip(counted, (True, False), strict=True):
        assert backbone.flops(None, spec, size, attention_products) == count


@pytest.mark.parametrize(
    'changes',
    [
        dict(),
        dict(qkv_bias=False, window_size=3),
        dict(space=PER_STAGE[:2], window_size=(5, 2), out_indices=(1,)),
    ],
    ids=['small', 'one window size', 'two stages'],
)
def test_swin(changes):
    """The products with padded tokens included; the supernet does the same as the plain model."""
    swin = build_swin(pad_small_map=True, **changes)
    for i, spec in enumerate(draw_specs(swin, 6)):
        size = SIZES[i % 5]
        check(swin, spec, size, counted_plain(plain_swin, swin, spec, size))
        check(swin, spec, size, counted_elastic(swin, spec, size))


@pytest.mark.parametrize('skip', [False, True])
@pytest.mark.parametrize('skeletons', ['single-scale', ['d3.1', 'e1+d2.1'], ['d4.3']], ids=str)
def test_swin_unet(skeletons, skip):
    """Only the cells that the skeletons need; windows of small maps are the maps."""
    tree = build_swin_unet(skeletons=skeletons, skip_connections=skip)
    needed = union(tree.skeletons_of(None))
    for i, spec in enumerate(draw_specs(tree, 2)):
        size = SIZES[i % 5]
        plain, _ = plain_tree_of(tree, restrict(spec, needed), None, dict(tree.named_parameters()))
        check(tree, spec, size, multiply_adds(plain, size))
        check(tree, spec, size, counted_elastic(tree, spec, size))


@pytest.mark.parametrize('class_token', [True, False])
@pytest.mark.parametrize('window_size', [0, 2, 4])
def test_vit(window_size, class_token):
    """Without relative positions; with windows, the products with padded tokens included."""
    vit = build_vit(
        space=dict(SPACE, depth=(3, 6)),
        out_type='featmap',
        max_relative_position=0,
        window_size=window_size,
        class_token=class_token,
    )
    for i, spec in enumerate(draw_specs(vit, 6)):
        size = [*SIZES[:4], (4, 4)][i % 5]
        check(vit, spec, size, counted_plain(plain_vit, vit, spec, size))
        check(vit, spec, size, counted_elastic(vit, spec, size))


@pytest.mark.parametrize('window_size', [0, 2, 4])
def test_vit_with_relative_positions(window_size):
    """Counted in the backbone itself: the plain model here multiplies a table of all pairs.

    The backbone, as the paper's, multiplies two small tables for keys and two for values. What
    it multiplies with zeros and ones to get there is no part of the closed form.
    """
    vit = build_vit(space=dict(SPACE, depth=(3, 6)), out_type='featmap', window_size=window_size)
    for i, spec in enumerate(draw_specs(vit, 6)):
        size = [*SIZES[:4], (4, 4)][i % 5]
        counted, linear = counted_elastic(vit, spec, size)
        counted -= products_with_places(vit, spec, size)
        check(vit, spec, size, (counted, linear))


def products_with_places(vit, spec, size):
    """Those with the rows and columns behind keys and values, in widths that 8 divides."""
    grid, window = vit.shape.patches(size), vit.window_size
    windows = math.prod(math.ceil(side / window) for side in grid) if window else 0
    total = 0
    for i, block in enumerate(spec.stages[0].blocks):
        if window and i not in global_blocks(spec.depth):
            tokens, keys, places = windows * window**2, window**2, 2 * window
        else:
            special = int(not window)
            tokens = keys = math.prod(grid) + special
            places = sum(grid) + 2 * special
        total += 2 * block.num_heads * tokens * keys * 8 * math.ceil(places / 8)
    return total


def test_products_of_relative_positions_by_hand():
    """Their part is what the closed form adds to the same ViT without them."""
    with_tables, without = build_vit(), build_vit(max_relative_position=0)
    for spec in draw_specs(with_tables, 6):
        tokens, rows, head_dim = 5 * 3 + 1, 2 * 2 + 2, 4
        heads = sum(block.num_heads for block in spec.stages[0].blocks)
        # Vertical and horizontal, of keys and of values.
        tables = 4 * heads * tokens * rows * head_dim
        counts = [vit.flops(None, spec, (20, 12)) for vit in (with_tables, without)]
        assert counts[0] - counts[1] == tables
        counts = [vit.flops(None, spec, (20, 12), False) for vit in (with_tables, without)]
        assert counts[0] == counts[1]
