"""ElasticSwinUNet against the plain model of its slices, ElasticSwin, and itself."""

import random

import pytest
import torch
from numerics.comparing import EXACT, check_gradients, check_padded, detached
from numerics.plain_swin import PlainSwin
from numerics.plain_swin_unet import ORDER, plain_tree_of, rings_to_grid
from numerics.small_swin_unet import LEVELS, SHAPE, build_swin_unet
from numerics.small_vit import SHARINGS, TASKS, draw_images, draw_specs
from torch.func import functional_call

from mdl_nas_mm.elastic.plain import plain_part
from mdl_nas_mm.families import ElasticSwin, ElasticSwinUNet
from mdl_nas_mm.families.swin_unet import CELL_TREE, SKELETONS, restrict, union
from mdl_nas_mm.spec import JointSpec, SearchSpace

# Odd maps at each level; maps smaller than the windows of some.
SIZES = [(16, 18), (19, 22), (6, 6), (9, 25)]
all_sharings = pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS.keys())


def check_subnet(backbone, spec, task, size):
    """All maps and gradients of one subnet against the plain model of its slices."""
    leaves = detached(backbone)
    plain, state = plain_tree_of(backbone, spec, task, leaves)
    images = draw_images(size)
    ours = backbone.forward_subnet(images, task, spec)
    theirs = functional_call(plain, state, (images,))
    for cell, one, other in zip(plain.outputs, ours, theirs, strict=True):
        check_padded(one, other, backbone.layout.largest[cell].embed_dim, EXACT)
    check_gradients(backbone, leaves, state, ours, theirs)


def cells_for(backbone, task):
    return union(backbone.skeletons_of(task))


@all_sharings
def test_every_subnet_equals_the_plain_model_of_its_slices(sharing):
    backbone = build_swin_unet(sharing)
    for i, spec in enumerate(draw_specs(backbone, 1)):
        check_subnet(backbone, spec, TASKS[i % 2], SIZES[i % 4])


def test_norms_behind_the_sums():
    backbone = build_swin_unet('Sequential', post_norm=True)
    for i, spec in enumerate(draw_specs(backbone, 0)):
        check_subnet(backbone, spec, TASKS[i % 2], SIZES[i % 4])


@pytest.mark.parametrize('skeletons', ['single-scale', ['d4.2', 'e1+d3.2']], ids=str)
def test_skip_connections(skeletons):
    backbone = build_swin_unet('Sequential', skip_connections=True, skeletons=skeletons)
    for i, spec in enumerate(draw_specs(backbone, 1)):
        own = restrict(spec, cells_for(backbone, None))
        check_subnet(backbone, own, TASKS[i % 2], SIZES[i % 4])


@pytest.mark.parametrize('kind', SKELETONS)
def test_a_skeleton_has_just_its_cells(kind):
    """Its maps are those of the whole tree, and so are their gradients' places."""
    whole = build_swin_unet(skeletons=kind)
    images, specs = draw_images((25, 40)), draw_specs(whole, len(SKELETONS[kind]))
    state = dict(whole.named_parameters())
    for number, (skeleton, spec) in enumerate(zip(SKELETONS[kind], specs)):
        own = build_swin_unet(skeletons=[skeleton.name], seed=1)
        assert set(own.state_dict()) < set(state)
        own.load_state_dict({name: state[name] for name in own.state_dict()})
        alone = restrict(spec, skeleton.cells)
        every = dict(zip(whole.output_cells(None), whole.forward_subnet(images, None, spec)))
        for given in (spec, alone) if skeleton.cells == tuple(ORDER) else (alone,):
            maps = own.forward_subnet(images, None, given)
            for cell, one in zip(own.output_cells(None), maps, strict=True):
                assert torch.equal(one, every[cell])
        if number % 8 == 3:
            check_subnet(own, alone, None, (9, 14))
        used = {use.name for use in whole.layout.uses(alone)}
        norms = {name for name in used if name not in own.state_dict()}
        # Only the norms of maps that other skeletons end in.
        assert all(name.split('.')[-2].startswith('norm') for name in norms)


def test_each_task_has_the_maps_of_its_skeletons():
    skeletons = dict(a=['d3.1', 'e1+d3.2'], b=['e2'])
    backbone = build_swin_unet('Sequential', skeletons=skeletons)
    assert backbone.output_cells('a') == ('e1', 'd3.2', 'd3.1')
    assert backbone.output_cells('b') == ('e2',)
    assert not any(name.startswith(('stages.3', 'decoders.d4')) for name in backbone.state_dict())
    for spec in draw_specs(backbone, 2):
        for task in TASKS:
            check_subnet(backbone, restrict(spec, cells_for(backbone, task)), task, (19, 22))
            with torch.no_grad():
                config = dict(skeletons=skeletons, space=backbone.space.to_config(), **SHAPE)
                plain = plain_part(
                    backbone, config, task, restrict(spec, cells_for(backbone, task))
                )
                images = draw_images((19, 22))
                ours = backbone.forward_subnet(images, task, spec)
                for one, other in zip(ours, plain(images), strict=True):
                    torch.testing.assert_close(one, other, **EXACT)


def test_single_precision_agrees_to_1e_5():
    """Of the largest value of a map: it has come through up to seven cells."""
    backbone = build_swin_unet('Sequential', dtype=torch.float32, skeletons='multi-scale')
    parameters = dict(backbone.named_parameters())
    for i, spec in enumerate(draw_specs(backbone, 4)):
        plain, state = plain_tree_of(backbone, spec, TASKS[i % 2], parameters)
        images = draw_images(SIZES[i % 4], dtype=torch.float32)
        theirs = functional_call(plain, state, (images,))
        for one, other in zip(backbone.forward_subnet(images, TASKS[i % 2], spec), theirs):
            difference = (one[:, : other.shape[1]] - other).abs().max()
            assert difference < 1e-5 * other.abs().max()


def encoder_space(window):
    """A space of four stages, of one window, as both backbones read it."""
    stages = [
        {key: value for key, value in level.items() if key != 'window_side'} for level in LEVELS
    ]
    return stages, [dict(stage, window_side=window) for stage in stages]


@pytest.mark.parametrize('window', [2, 3])
def test_a_smaller_window_equals_a_plain_swin_of_that_window(window):
    """Blocks of the same weights, whose table is the middle of the largest window's."""
    backbone = build_swin_unet(skeletons=['e1+e2+e3+e4'])
    rng, images = random.Random(0), draw_images((48, 50))
    state = dict(backbone.named_parameters())
    for _ in range(4):
        spec = backbone.space.sample(rng).to_dict()
        for stage in spec['stages']:
            stage['window_side'] = [window] * stage['depth']
        spec = CELL_TREE.read(spec)
        shape = dict(patch_size=2, head_dim=3, window_sizes=[window] * 4)
        encoder = type(spec)(spec.stages[:4])
        plain, out = PlainSwin(encoder, **shape), {}
        for name, target in plain.state_dict().items():
            table = name.endswith('.relative_position_bias_table')
            ours = name.replace('relative_position_bias_table', 'bias_by_ring')
            value = state[ours]
            if '.qkv.' in name:
                value = value.unflatten(0, (3, -1))[:, : len(target) // 3].flatten(0, 1)
            value = value[tuple(map(slice, target.shape))]
            out[name] = rings_to_grid(value, window) if table else value
        theirs = functional_call(plain.double(), out, (images,))
        # Outside of the space's choices, as not every level has this window.
        backbone.space = SearchSpace.fixed(spec, CELL_TREE)
        for one, other in zip(backbone.forward_subnet(images, None, spec), theirs, strict=True):
            torch.testing.assert_close(one[:, : other.shape[1]], other, **EXACT)
        backbone.space = backbone.layout.space


@pytest.mark.parametrize('sharing', ['AllShared', 'Sequential'])
def test_the_encoder_alone_is_elastic_swin_bit_for_bit(sharing):
    window = 2
    swin_space, tree_space = encoder_space(window)
    common = dict(sharing=sharing, tasks=TASKS, **SHAPE)
    swin = ElasticSwin(swin_space, window_size=window, **common)
    tree = ElasticSwinUNet(tree_space, skeletons=['e1+e2+e3+e4'], **common)
    assert not tree.inherit(swin.state_dict()).missing
    # What tasks own is not inherited.
    own = dict(swin.named_parameters())
    tree.load_state_dict({k: own[k] for k in tree.state_dict() if k in own}, strict=False)
    rng, images = random.Random(0), draw_images((37, 44), dtype=torch.float32)
    for i in range(6):
        spec = tree.space.sample(rng)
        same = spec.to_dict()['stages'][:4]
        same = swin.space.read(
            dict(stages=[{k: v for k, v in s.items() if k != 'window_side'} for s in same])
        )
        task = TASKS[i % 2]
        ours = tree.forward_subnet(images, task, spec)
        theirs = swin.forward_subnet(images, task, same)
        for one, other in zip(ours, theirs, strict=True):
            assert torch.equal(one, other)
        for backbone, maps in ((tree, ours), (swin, theirs)):
            backbone.zero_grad()
            sum(x.square().sum() for x in maps).backward()
        others = dict(swin.named_parameters())
        for name, parameter in tree.named_parameters():
            if name.endswith('bias_by_ring'):
                continue
            other = others[name].grad
            if other is None:
                assert parameter.grad is None
            else:
                assert torch.equal(parameter.grad, other), name
        assert swin.flops(task, same, (37, 44)) == tree.flops(task, spec, (37, 44))
        assert swin.ledger().params(same) == tree.ledger().params(spec)


def numel(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize('options', [{}, dict(post_norm=True), dict(skip_connections=True)])
def test_the_ledger_counts_what_a_model_of_just_these_cells_has(options):
    backbone = build_swin_unet('Sequential', **options)
    ledger = backbone.ledger()
    for skeleton, spec in zip(SKELETONS['single-scale'], draw_specs(backbone, 8)):
        own = restrict(spec, skeleton.cells)
        space = SearchSpace.fixed(own, CELL_TREE).to_config()
        fixed = ElasticSwinUNet(space=space, skeletons=list(skeleton.cells), **options, **SHAPE)
        assert numel(fixed) == ledger.params(own) == fixed.ledger().params(own)
        owned = ElasticSwinUNet(
            space=space,
            skeletons=list(skeleton.cells),
            **options,
            sharing='AllSpecific',
            tasks=TASKS,
            **SHAPE,
        )
        counts = owned.ledger().count(JointSpec(dict.fromkeys(TASKS, own)))
        assert numel(owned) == counts.backbone_total


def test_a_cell_counts_once_for_the_tasks_that_pass_through_it():
    """A joint spec of restricted architectures stores the union of the tasks' cells."""
    backbone = build_swin_unet()
    spec, ledger = backbone.space.largest(), backbone.ledger()
    skeletons = dict(zip('abc', SKELETONS['single-scale'][-3:]))
    joint = JointSpec({task: restrict(spec, each.cells) for task, each in skeletons.items()})
    counts = ledger.count(joint)
    assert counts.shared == ledger.params(restrict(spec, union(skeletons.values())))
    assert counts.backbones == {task: ledger.params(own) for task, own in joint.items()}
