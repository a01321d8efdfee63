"""Draws stay in the space, their rates are the asked ones, and bad spaces are refused."""

import json
import random
from itertools import product

import pytest
from refusals import raises_naming

from mdl_nas_mm.families.transformer import TRANSFORMER, BlockSpec, StageSpec
from mdl_nas_mm.spec import SearchSpace, SubnetSpec

# One ratio a block (the paper's ViT space), choices that differ by block, two stages with two
# ratios a block (as its Swin space).
SPACES = {
    'tied': dict(
        embed_dim=(6, 8, 10),
        depth=(2, 3, 4),
        num_heads=(1, 2, 3),
        mlp_ratio=(1, 2.5),
        share_ratio=(0.4, 0.5, 0.6),
    ),
    'per block': dict(
        embed_dim=8,
        depth=(1, 3),
        num_heads=[(1, 2), 3, (2, 4)],
        mlp_ratio=2,
        share_ratio=[(0, 1), 0.5, (0.2, 0.3)],
    ),
    'stages': [
        dict(
            embed_dim=(6, 8),
            depth=(1, 2),
            num_heads=(1, 2),
            mlp_ratio=(1, 2),
            attn_share_ratio=(0.1, 0.9),
            ffn_share_ratio=(0.3, 0.5, 0.7),
        ),
        dict(embed_dim=(12, 16), depth=(2, 3), num_heads=(2, 3, 4), mlp_ratio=(2, 3)),
    ],
}
CASES = pytest.mark.parametrize('config', SPACES.values(), ids=SPACES.keys())


@CASES
def test_draws_stay_in_the_space(config):
    space, rng = SearchSpace.from_config(config, TRANSFORMER), random.Random(0)
    parents = [space.sample(rng) for _ in range(1000)]
    for first, second in zip(parents, reversed(parents), strict=True):
        space.check(first)
        space.check(space.mutate(first, rng, 0.5, 0.5))
        space.check(space.crossover(first, second, rng))
        space.check(space.resample_ratios(first, rng))


@CASES
def test_same_generator_same_draws(config):
    def draws(seed):
        space, rng = SearchSpace.from_config(config, TRANSFORMER), random.Random(seed)
        specs = [space.sample(rng) for _ in range(10)]
        specs += [space.mutate(spec, rng) for spec in specs]
        specs += [space.crossover(specs[0], spec, rng) for spec in specs]
        return specs + space.sandwich(rng)

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


@CASES
def test_config_round_trip(config):
    space = SearchSpace.from_config(config, TRANSFORMER)
    assert SearchSpace.from_config(json.loads(json.dumps(space.to_config())), TRANSFORMER) == space


def test_every_member_is_sampled():
    space = SearchSpace.from_config(
        dict(embed_dim=(6, 8), depth=(1, 2), num_heads=(1, 2), mlp_ratio=1, share_ratio=(0, 1)),
        TRANSFORMER,
    )
    blocks = [BlockSpec(h, 1, r, r) for h, r in product((1, 2), (0, 1))]
    members = {
        SubnetSpec((StageSpec(dim, chosen),))
        for dim, depth in product((6, 8), (1, 2))
        for chosen in product(blocks, repeat=depth)
    }
    rng = random.Random(0)
    assert {space.sample(rng) for _ in range(2000)} == members


def test_one_ratio_rules_both_parts_where_the_space_has_one():
    space, rng = SearchSpace.from_config(SPACES['tied'], TRANSFORMER), random.Random(0)
    for _ in range(100):
        for spec in (space.sample(rng), space.resample_ratios(space.sample(rng), rng)):
            blocks = spec.stages[0].blocks
            assert all(block.attn_share_ratio == block.ffn_share_ratio for block in blocks)
    spec = TRANSFORMER.read(
        dict(
            embed_dim=6,
            depth=2,
            num_heads=1,
            mlp_ratio=1,
            attn_share_ratio=0.4,
            ffn_share_ratio=0.5,
        )
    )
    with raises_naming(ValueError, 'block 0, ffn_share_ratio', 0.5):
        space.check(spec)


@CASES
def test_smallest_and_largest_bound_every_draw(config):
    space, rng = SearchSpace.from_config(config, TRANSFORMER), random.Random(0)
    low, high = space.smallest(), space.largest()
    space.check(low)
    space.check(high)
    for spec in (space.sample(rng) for _ in range(200)):
        for small, stage, large in zip(low.stages, spec.stages, high.stages, strict=True):
            assert small.embed_dim <= stage.embed_dim <= large.embed_dim
            assert len(small.blocks) <= len(stage.blocks) <= len(large.blocks)
            for block, limit in zip(stage.blocks, large.blocks, strict=False):
                assert block.num_heads <= limit.num_heads
                assert block.mlp_ratio <= limit.mlp_ratio
                assert block.attn_share_ratio <= limit.attn_share_ratio
                assert block.ffn_share_ratio <= limit.ffn_share_ratio


def test_share_ratios_of_the_extremes():
    space = SearchSpace.from_config(SPACES['tied'], TRANSFORMER)
    for extreme in (space.smallest, space.largest):
        assert {block.attn_share_ratio for block in extreme(0).stages[0].blocks} == {0.4}
        assert {block.ffn_share_ratio for block in extreme(-1).stages[0].blocks} == {0.6}


def test_mutation_rates():
    """Observed rates of change against the settings.

    A redraw of n equally likely choices changes nothing once in n times, so the rate of change
    is the redraw's probability times 1 - 1/n.
    """
    space, rng = SearchSpace.from_config(SPACES['tied'], TRANSFORMER), random.Random(0)
    trials, block_prob, stage_prob = 4000, 0.1, 0.4
    widths = depths = both = blocks = kept = 0
    for _ in range(trials):
        (before,) = space.sample(rng).stages
        (after,) = space.mutate(SubnetSpec((before,)), rng, block_prob, stage_prob).stages
        widths += before.embed_dim != after.embed_dim
        depths += len(before.blocks) != len(after.blocks)
        both += before.embed_dim != after.embed_dim and len(before.blocks) != len(after.blocks)
        pairs = list(zip(before.blocks, after.blocks, strict=False))
        kept += len(pairs)
        blocks += sum(first != second for first, second in pairs)

    def close(count, total, expected):
        spread = (expected * (1 - expected) / total) ** 0.5
        return abs(count / total - expected) < 4 * spread

    assert close(widths, trials, stage_prob * (1 - 1 / 3))
    assert close(depths, trials, stage_prob * (1 - 1 / 3))
    # Width and depth are redrawn independently of each other.
    assert close(both, trials, (stage_prob * (1 - 1 / 3)) ** 2)
    assert close(blocks, kept, block_prob * (1 - 1 / (3 * 2 * 3)))


def test_mutation_without_chance_changes_nothing():
    space, rng = (
        SearchSpace.from_config(SPACES['stages'], TRANSFORMER),
        random.Random(0),
    )
    for spec in (space.sample(rng) for _ in range(100)):
        assert space.mutate(spec, rng, 0, 0) == spec


@CASES
def test_crossover_takes_everything_from_the_parents(config):
    space, rng = SearchSpace.from_config(config, TRANSFORMER), random.Random(0)
    mixed = 0
    for _ in range(300):
        first, second = space.sample(rng), space.sample(rng)
        child = space.crossover(first, second, rng)
        mixed += child not in (first, second)
        for a, b, stage in zip(first.stages, second.stages, child.stages, strict=True):
            assert stage.embed_dim in (a.embed_dim, b.embed_dim)
            assert len(stage.blocks) in (len(a.blocks), len(b.blocks))
            for j, block in enumerate(stage.blocks):
                assert block in a.blocks[j : j + 1] + b.blocks[j : j + 1]
    assert mixed > 0


@pytest.mark.parametrize('per_stage', [False, True])
def test_crossover_takes_as_much_from_each_parent(per_stage):
    """Of a width, a depth, a block that they do not have in common."""
    config = dict(SPACES['tied'], per_stage=per_stage)
    space, rng = SearchSpace.from_config(config, TRANSFORMER), random.Random(0)
    taken = dict(width=[], depth=[], block=[])
    for _ in range(1000):
        first, second = space.sample(rng), space.sample(rng)
        (child,), (a,), (b,) = (
            s.stages for s in (space.crossover(first, second, rng), first, second)
        )
        for name, of in (
            ('width', lambda stage: stage.embed_dim),
            ('depth', lambda stage: len(stage.blocks)),
            ('block', lambda stage: stage.blocks[1]),
        ):
            if of(a) != of(b):
                taken[name].append(of(child) == of(a))
    for name, from_first in taken.items():
        assert 0.45 < sum(from_first) / len(from_first) < 0.55, name


def sizes(spec):
    """A spec without its share ratios."""
    return [
        (stage.embed_dim, [(block.num_heads, block.mlp_ratio) for block in stage.blocks])
        for stage in spec.stages
    ]


def test_sandwich():
    space, rng = SearchSpace.from_config(SPACES['tied'], TRANSFORMER), random.Random(0)
    ratios = [set() for _ in range(4)]
    for _ in range(50):
        specs = space.sandwich(rng, num_random=2)
        for spec, of_place in zip(specs, ratios, strict=True):
            space.check(spec)
            of_place.add(spec.stages[0].blocks[0].attn_share_ratio)
        assert sizes(specs[0]) == sizes(space.smallest())
        assert sizes(specs[-1]) == sizes(space.largest())
    assert ratios == [{0.4, 0.5, 0.6}] * 4


def test_sandwich_of_a_single_architecture_is_one_spec():
    space = SearchSpace.from_config(
        dict(embed_dim=8, depth=2, num_heads=2, mlp_ratio=2, share_ratio=(0, 1)),
        TRANSFORMER,
    )
    (spec,) = space.sandwich(random.Random(0))
    space.check(spec)


def test_fixed_space_has_one_member():
    whole, rng = (
        SearchSpace.from_config(SPACES['stages'], TRANSFORMER),
        random.Random(0),
    )
    for _ in range(20):
        spec = whole.sample(rng)
        space = SearchSpace.fixed(spec, TRANSFORMER)
        draws = [space.smallest(0), space.largest(-1), space.sample(rng)]
        draws += [space.mutate(spec, rng, 1, 1), *space.sandwich(rng)]
        assert all(draw == spec for draw in draws)
        other = next(s for s in iter(lambda: whole.sample(rng), None) if s != spec)
        with raises_naming(ValueError, 'stage '):
            space.check(other)


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        (dict(embed_dim=7), ('stage 0, embed_dim', 7, '(6, 8, 10)')),
        (dict(depth=1), ('stage 0, depth', 1, '(2, 3, 4)')),
        (dict(num_heads=[1, 5]), ('block 1, num_heads', 5, '(1, 2, 3)')),
        (dict(mlp_ratio=3), ('block 0, mlp_ratio', 3.0, '(1, 2.5)')),
        (dict(share_ratio=[0.5, 0.7]), ('block 1, attn_share_ratio', 0.7)),
    ],
)
def test_spec_outside_the_space_is_refused(changes, named):
    space = SearchSpace.from_config(SPACES['tied'], TRANSFORMER)
    inside = dict(embed_dim=6, depth=2, num_heads=1, mlp_ratio=1, share_ratio=0.4)
    space.check(TRANSFORMER.read(inside))
    with raises_naming(ValueError, *named):
        space.check(TRANSFORMER.read({**inside, **changes}))


def test_spec_of_other_stages_is_refused():
    tied, stages = (
        SearchSpace.from_config(SPACES[name], TRANSFORMER) for name in ('tied', 'stages')
    )
    with raises_naming(ValueError, 'stages', 1, 2):
        stages.check(tied.smallest())


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        (dict(embed_dim=None), ('stage 0', "'embed_dim'")),
        (dict(mlp_ratios=(1,)), ("'mlp_ratios'",)),
        (dict(num_heads=()), ('num_heads',)),
        (dict(depth=(0, 1)), ('depth', 0)),
        (dict(embed_dim=(-4, 8)), ('embed_dim', -4)),
        (dict(share_ratio=(0.5, 1.2)), ('share ratio', 1.2, '[0, 1]')),
        (dict(ffn_share_ratio=(-0.5, 1)), ('share ratio', -0.5, '[0, 1]')),
        (dict(num_heads=[(1, 2), (1, 2)]), ('num_heads', 2, 4)),
    ],
)
def test_bad_spaces_are_refused(changes, named):
    config = {**SPACES['tied'], **changes}
    with raises_naming(ValueError, *named):
        SearchSpace.from_config(
            {key: value for key, value in config.items() if value is not None},
            TRANSFORMER,
        )
