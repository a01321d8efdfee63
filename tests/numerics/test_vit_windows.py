"""ElasticViT with windowed attention (ViTDet) against the plain model of its slices."""

import pytest
import torch
from numerics.comparing import CLOSE, EXACT, check_gradients, check_padded, detached
from numerics.plain_vit import as_features, attends_everywhere, plain_of
from numerics.small_vit import MIXED, SHARINGS, SPACE, TASKS, build_vit, draw_images, draw_specs
from torch.func import functional_call

from mdl_nas_mm.families.vit.layout import global_blocks

# Up to four blocks attend everywhere, so that there are more of them.
DEEP = dict(SPACE, depth=(3, 5, 8))
# As stored (5 x 3 patches); odd; smaller than a window; whole windows of 2 and of 3.
SIZES = [(20, 12), (25, 31), (7, 4), (24, 47)]
WINDOWS = [2, 3, 7]
all_sharings = pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS.keys())
mixed_sharings = pytest.mark.parametrize('sharing', MIXED.values(), ids=MIXED.keys())


def build(sharing='Sequential', **changes):
    return build_vit(sharing, **{**dict(space=DEEP, out_type='featmap'), **changes})


def check_subnet(vit, spec, task, size, tolerance=EXACT):
    """Maps and, in double precision, gradients against the plain model of the slices."""
    leaves = detached(vit)
    plain, state = plain_of(vit, spec, task, leaves)
    images = draw_images(size, dtype=next(vit.parameters()).dtype)
    ours = vit.forward_subnet(images, task, spec)
    tokens, grid = functional_call(plain, state, (images,))
    theirs = [
        as_features(tokens[block], grid, plain.class_token, 'featmap')
        for block in vit.wanted_blocks(task, spec)
    ]
    for one, other in zip(ours, theirs, strict=True):
        check_padded(one, other, vit.out_channels, tolerance)
    if tolerance is EXACT:
        check_gradients(vit, leaves, state, ours, theirs)


@mixed_sharings
def test_every_subnet_equals_the_plain_model_of_its_slices(sharing):
    """Largest, smallest and 20 random subnets, in turn of tasks, sizes and windows."""
    backbones = [build(sharing, window_size=window) for window in WINDOWS]
    for i, spec in enumerate(draw_specs(backbones[0], 20)):
        check_subnet(backbones[i % 3], spec, TASKS[i % 2], SIZES[i % 4])


@pytest.mark.slow
@all_sharings
def test_many_subnets_equal_the_plain_models_of_their_slices(sharing):
    """20 more subnets, each at every size."""
    backbones = [build(sharing, seed=1, window_size=window) for window in WINDOWS]
    for i, spec in enumerate(draw_specs(backbones[0], 20, seed=1)):
        for size in SIZES:
            check_subnet(backbones[i % 3], spec, TASKS[i % 2], size)


@pytest.mark.parametrize(
    'changes',
    [
        dict(class_token=False),
        dict(absolute_position=False),
        dict(max_relative_position=0),
        dict(class_token=False, absolute_position=False, max_relative_position=0),
        dict(out_indices=(1, 3, 5, 7)),
        # Wider than the 6 x 12 patches of the largest image here.
        dict(window_size=13),
    ],
    ids=str,
)
def test_other_shapes_equal_the_plain_model(changes):
    vit = build(**{'window_size': 2, **changes})
    for i, spec in enumerate(draw_specs(vit, 1)[3:]):
        check_subnet(vit, spec, TASKS[i % 2], SIZES[i % 4])


@mixed_sharings
def test_single_precision_agrees_to_1e_5(sharing):
    vit = build(sharing, dtype=torch.float32, window_size=3)
    for i, spec in enumerate(draw_specs(vit, 1)):
        check_subnet(vit, spec, TASKS[i % 2], SIZES[i % 4], CLOSE)


@pytest.mark.parametrize('side', [32, pytest.param(64, marks=pytest.mark.slow)])
@torch.no_grad()
def test_a_large_grid(side):
    """In windows of 14; 64 x 64 patches are those of 1024 x 1024 pixels at a patch of 16."""
    space = dict(embed_dim=4, depth=5, num_heads=1, mlp_ratio=1)
    vit = build('AllShared', space=space, window_size=14, max_relative_position=0)
    plain, state = plain_of(vit, vit.arch, None, dict(vit.named_parameters()))
    images = draw_images((4 * side, 4 * side), batch=1)
    tokens, grid = functional_call(plain, state, (images,))
    assert grid == (side, side)
    theirs = as_features(tokens[-1], grid, plain.class_token, 'featmap')
    torch.testing.assert_close(vit(images)[0], theirs, **EXACT)


def test_windows_smaller_than_the_map_matter_and_larger_ones_pad():
    """One window over the whole map is attention over it; a larger one has zeros in it."""
    images, space = draw_images((20, 20)), dict(DEEP, depth=8)
    maps = {
        window: build('AllShared', window_size=window, space=space, class_token=False)(images)[0]
        for window in (0, 2, 5, 6)
    }
    torch.testing.assert_close(maps[5], maps[0], **EXACT)
    for window in (2, 6):
        assert (maps[window] - maps[0]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ('depth', 'blocks'),
    [(1, {0}), (3, {0, 1, 2}), (5, {1, 2, 3, 4}), (6, {1, 2, 4, 5}), (12, {2, 5, 8, 11})]
    + [(13, {3, 6, 9, 12}), (14, {3, 6, 10, 13}), (16, {3, 7, 11, 15}), (24, {5, 11, 17, 23})],
)
def test_four_blocks_attend_everywhere(depth, blocks):
    """Evenly spaced over the depth of the architecture that runs, the last one among them."""
    assert global_blocks(depth) == blocks
    assert blocks == {i for i in range(depth) if attends_everywhere(i, depth)}
    vit = build('AllShared', space=dict(DEEP, depth=(1, depth)), window_size=2)
    tokens = []
    for block in vit.blocks:
        block.attn.register_forward_pre_hook(lambda module, args: tokens.append(args[0].shape[1]))
    vit(draw_images((16, 20)))
    assert tokens == [20 if i in blocks else 4 for i in range(depth)]


def test_tasks_with_and_without_windows():
    """The class token serves the one and is left out, with its position, for the other."""
    vit = build(
        window_size=dict(a=0, b=2), out_type=dict(a='cls_token', b='featmap'), out_indices=(-1,)
    )
    images, spec = draw_images((20, 12)), vit.space.largest()
    leaves = detached(vit)
    for task in TASKS:
        plain, state = plain_of(vit, spec, task, leaves)
        tokens, grid = functional_call(plain, state, (images,))
        theirs = as_features(tokens[-1], grid, plain.class_token, vit.out_type[task])
        ours = vit.forward_subnet(images, task, spec)
        check_gradients(vit, leaves, state, ours, [theirs])
        torch.testing.assert_close(ours[0], theirs, **EXACT)
    assert not vit.pos_embed.grad[:, 0].any() and vit.cls_token.grad is None
    assert vit.pos_embed.grad[:, 1:].all()
