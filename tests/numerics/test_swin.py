"""ElasticSwin against the plain model of its slices."""

import pytest
import torch
from numerics.comparing import CLOSE, EXACT, check_gradients, check_padded, detached
from numerics.plain_swin import PlainSwin, plain_of
from numerics.small_swin import PER_STAGE, SHAPE, build_swin
from numerics.small_vit import SHARINGS, TASKS, draw_images, draw_specs
from refusals import raises_naming
from torch.func import functional_call

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.families import ElasticSwin
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.spec import JointSpec, SearchSpace

# Maps of 9 x 10, 10 x 11, 13 x 9 and 9 x 12 patches, and odd ones behind the mergings.
SIZES = [(18, 20), (19, 22), (25, 18), (17, 24)]
# Maps smaller than a window from some stage on; a single patch.
SMALL_SIZES = [(12, 12), (7, 21), (6, 6), (2, 2)]
all_sharings = pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS.keys())


def check_maps(swin, plain, state, spec, task, size, tolerance):
    images = draw_images(size, dtype=next(swin.parameters()).dtype)
    ours = swin.forward_subnet(images, task, spec)
    theirs = functional_call(plain, state, (images,))
    for stage, one, other in zip(plain.out_stages, ours, theirs, strict=True):
        check_padded(one, other, swin.layout.largest[stage].embed_dim, tolerance)
    return ours, theirs


def check_subnet(swin, spec, task, size):
    """Outputs of all stages and gradients of one subnet against the plain model of its slices."""
    leaves = detached(swin)
    plain, state = plain_of(swin, spec, task, leaves)
    ours, theirs = check_maps(swin, plain, state, spec, task, size, EXACT)
    check_gradients(swin, leaves, state, ours, theirs)


@all_sharings
def test_every_subnet_equals_the_plain_model_of_its_slices(sharing):
    """Largest, smallest and 20 random subnets, in turn of both tasks and of all sizes."""
    swin = build_swin(sharing)
    for i, spec in enumerate(draw_specs(swin, 20)):
        check_subnet(swin, spec, TASKS[i % 2], SIZES[i % 4])


def test_padded_small_maps_equal_the_plain_model():
    swin = build_swin('Sequential', pad_small_map=True)
    for i, spec in enumerate(draw_specs(swin, 8)):
        check_subnet(swin, spec, TASKS[i % 2], (SMALL_SIZES + SIZES)[i % 8])


@pytest.mark.slow
@pytest.mark.parametrize('pad_small_map', [False, True])
@all_sharings
def test_many_subnets_equal_the_plain_models_of_their_slices(sharing, pad_small_map):
    """20 more subnets, each at every size."""
    swin = build_swin(sharing, seed=1, pad_small_map=pad_small_map)
    for i, spec in enumerate(draw_specs(swin, 20, seed=1)):
        for size in SIZES + (SMALL_SIZES if pad_small_map else []):
            check_subnet(swin, spec, TASKS[i % 2], size)


@pytest.mark.parametrize('pad_small_map', [False, True])
@pytest.mark.parametrize('side', [3, 4, 5])
def test_a_map_of_one_window_is_shifted_only_where_maps_are_padded(side, pad_small_map):
    """As high as a window, and as wide as one, or wider: only the shorter side counts."""
    space = [dict(embed_dim=6, depth=2, num_heads=2, mlp_ratio=1)]
    swin = build_swin(space=space, window_size=side, out_indices=(0,), pad_small_map=pad_small_map)
    shifts = []
    for block in swin.stages[0].blocks:
        block.attn.register_forward_pre_hook(lambda module, args: shifts.append(args[-1]))
    for down, across, shifted in [
        (side, side, pad_small_map),
        (side, 2 * side + 1, pad_small_map),
        (2 * side + 1, side, pad_small_map),
        (side + 1, side + 1, True),
    ]:
        check_subnet(swin, swin.arch, None, (2 * down, 2 * across))
        assert shifts[-2:] == [0, side // 2 if shifted else 0]


@pytest.mark.parametrize(
    'changes',
    [
        dict(qkv_bias=False),
        dict(window_size=3),
        dict(window_size=(5, 2, 1, 4)),
        dict(out_indices=(3,)),
        dict(out_indices=(0, 2)),
        dict(space=PER_STAGE),
        dict(space=PER_STAGE[:2], window_size=(3, 4), out_indices=(0, 1)),
    ],
    ids=['no bias', 'one window size', 'others', 'last map', 'two maps', 'per stage', 'two stages'],
)
def test_other_shapes_equal_the_plain_model(changes):
    swin = build_swin('Sequential', pad_small_map=True, **changes)
    for i, spec in enumerate(draw_specs(swin, 2)[3:]):
        check_subnet(swin, spec, TASKS[i % 2], SIZES[i % 4])


def test_each_task_has_its_own_maps_and_padding():
    """In the order that the task asks for."""
    swin = build_swin(
        'Sequential',
        out_indices=dict(a=(3,), b=(2, 0)),
        pad_small_map=dict(a=False, b=True),
    )
    assert swin.shape.out_stages == (0, 2, 3)
    parameters = dict(swin.named_parameters())
    for spec in draw_specs(swin, 2):
        for task, size in [('a', (18, 20)), ('b', (18, 20)), ('b', (7, 21))]:
            plain, state = plain_of(swin, spec, task, parameters)
            images = draw_images(size)
            theirs = functional_call(plain, state, (images,))
            ours = swin.forward_subnet(images, task, spec)
            for one, stage in zip(ours, swin.out_indices[task], strict=True):
                width = swin.layout.largest[stage].embed_dim
                check_padded(one, theirs[plain.out_stages.index(stage)], width, EXACT)
        with raises_naming(ValueError, '3 x 3'):
            swin.forward_subnet(draw_images((7, 21)), 'a', spec)


@all_sharings
def test_single_precision_agrees_to_1e_5(sharing):
    swin = build_swin(sharing, dtype=torch.float32)
    parameters = dict(swin.named_parameters())
    for i, spec in enumerate(draw_specs(swin, 6)):
        plain, state = plain_of(swin, spec, TASKS[i % 2], parameters)
        check_maps(swin, plain, state, spec, TASKS[i % 2], SIZES[i % 4], CLOSE)


@pytest.mark.parametrize(
    ('sharing', 'ratio'),
    [
        ('AllShared', 0),
        ('Sequential', 1),
        # A score is at least 0, so that this threshold shares every channel (Eq. 8).
        ('Mask', 0),
        (dict(type='Mask', threshold='ratio'), 1),
    ],
    ids=str,
)
def test_largest_wholly_shared_is_the_plain_model_with_the_same_keys(sharing, ratio):
    """The supernet's shared weights load into the plain model as they are."""
    swin = build_swin(sharing, dtype=torch.float32)
    spec = swin.space.largest(-1 if ratio else 0)
    plain = PlainSwin(spec, **vars(swin.shape))
    state = swin.state_dict()
    ours = {k: v for k, v in state.items() if '.specific.' not in k and not k.endswith('.score')}
    plain.load_state_dict(ours, strict=True)
    for size in SIZES:
        images = draw_images(size, dtype=torch.float32)
        for task in TASKS:
            with activate(task, spec):
                maps = swin(images)
            for one, other in zip(maps, plain(images), strict=True):
                torch.testing.assert_close(one, other, **CLOSE)


def numel(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_ledger_counts_what_a_real_module_has():
    """A subnet counts as many elements as the model built for it alone."""
    swin = build_swin('Sequential')
    ledger = swin.ledger()
    for spec in draw_specs(swin, 6):
        space = SearchSpace.fixed(spec, TRANSFORMER).to_config()
        fixed = ElasticSwin(space=space, **SHAPE)
        assert numel(fixed) == ledger.params(spec) == fixed.ledger().params(spec)
        assert numel(PlainSwin(spec, **vars(swin.shape))) == ledger.params(spec)
        # All specific: the module owns everything twice but what lies outside the blocks.
        owned = ElasticSwin(space=space, sharing='AllSpecific', tasks=TASKS, **SHAPE)
        counts = owned.ledger().count(JointSpec(dict.fromkeys(TASKS, spec)))
        assert numel(owned) == counts.backbone_total
