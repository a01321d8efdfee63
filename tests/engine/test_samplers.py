"""Which subnets a step trains: the sampler of random ones alone."""

from collections import Counter

import pytest
from refusals import raises_naming

from mdl_nas_mm.engine.samplers import SandwichSampler, UniformSampler
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.spec import SearchSpace

CHOICES = dict(
    embed_dim=(64, 96), depth=(2, 3), num_heads=(1, 2, 4), mlp_ratio=(2, 3), share_ratio=(0.3, 0.6)
)
SPACE = SearchSpace.from_config(CHOICES, TRANSFORMER)
STEPS = 2000


def proposed(seed=3, num_random=1):
    sampler = UniformSampler(dict(cls=SPACE, det=SPACE), seed, num_random)
    return [sampler.propose(iteration) for iteration in range(STEPS)]


def test_every_choice_is_as_frequent():
    steps = proposed()
    for task in ('cls', 'det'):
        specs = [step[task][0] for step in steps]
        first = [spec.stages[0].blocks[0] for spec in specs]
        counts = dict(
            embed_dim=Counter(spec.stages[0].embed_dim for spec in specs),
            depth=Counter(len(spec.stages[0].blocks) for spec in specs),
            num_heads=Counter(block.num_heads for block in first),
            mlp_ratio=Counter(block.mlp_ratio for block in first),
            share_ratio=Counter(block.ffn_share_ratio for block in first),
        )
        for name, counted in counts.items():
            assert set(counted) == set(CHOICES[name])
            expected = STEPS / len(counted)
            # Four deviations of a binomial.
            assert all(abs(n - expected) < 4 * expected**0.5 for n in counted.values()), name


def test_steps_follow_from_seed_iteration_and_task():
    steps = proposed(num_random=2)
    assert all(len(specs) == 2 for step in steps for specs in step.values())
    assert steps == proposed(num_random=2) != proposed(seed=4, num_random=2)
    assert steps[0] != steps[1] and steps[0]['cls'] != steps[0]['det']
    alone = UniformSampler(dict(det=SPACE), 3, 2)
    assert alone.propose(7)['det'] == steps[7]['det']


def test_sandwiches_follow_from_seed_iteration_and_task():
    def of(tasks, seed=3):
        return SandwichSampler(dict.fromkeys(tasks, SPACE), seed, 2)

    both, other, alone = of(['cls', 'det']), of(['cls', 'det'], 4), of(['det'])
    steps = [both.propose(i) for i in (7, 8)]
    assert steps == [both.propose(i) for i in (7, 8)] and steps[0] != steps[1]
    assert steps[0]['cls'] != steps[0]['det'] == alone.propose(7)['det']
    assert steps[0] != other.propose(7)


@pytest.mark.parametrize(
    ('sampler', 'number'),
    [(UniformSampler, 0), (SandwichSampler, -1), (SandwichSampler, 1.5), (UniformSampler, '2')],
)
def test_numbers_of_subnets_that_are_none_are_refused(sampler, number):
    with raises_naming(ValueError, sampler.__name__, 'num_random', repr(number)):
        sampler(dict(cls=SPACE), num_random=number)
