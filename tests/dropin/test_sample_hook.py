"""Sampling in an ordinary training: which subnet an iteration takes, and what is refused."""

import random

import pytest
from refusals import raises_naming
from stock import ARCH, SAMPLED, SPACE, backbone_of, build_runner, write_config

from mdl_nas_mm.elastic.active import active
from mdl_nas_mm.engine.sample_hook import SuccessiveSubnets
from mdl_nas_mm.engine.samplers import SandwichSampler, SubnetSampler
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.spec import SearchSpace
from mdl_nas_mm.utils.randomness import derive_seed

FIXED = TRANSFORMER.read(ARCH)


@pytest.fixture
def space() -> SearchSpace:
    return SearchSpace.from_config(
        [dict(stage, share_ratio=(0.3, 0.6)) for stage in SPACE], TRANSFORMER
    )


@pytest.fixture
def config(sources, data, tmp_path):
    """A stock classification config that samples: two iterations an epoch."""
    return write_config(
        tmp_path / 'config.py', 'cls', backbone_of('sampled', sources), data, **SAMPLED
    )


def sampler(space, seed, num_random=2):
    """As the hook makes it."""
    return SandwichSampler({None: space}, f'{seed}/sandwich', num_random)


def sizes(spec):
    """An architecture without its share ratios."""
    stages = spec.stages
    return [(s.embed_dim, [(b.num_heads, b.mlp_ratio) for b in s.blocks]) for s in stages]


@pytest.mark.parametrize('num_random', [0, 2, 3])
def test_iterations_go_through_sandwiches(space, num_random):
    length = num_random + 2
    subnets = SuccessiveSubnets(sampler(space, 7, num_random))
    drawn = [subnets[i] for i in range(3 * length)]
    for number in range(3):
        sandwich = drawn[number * length : (number + 1) * length]
        rng = random.Random(derive_seed(7, 'sandwich', number))
        assert sandwich == space.sandwich(rng, num_random)
        assert sizes(sandwich[0]) == sizes(space.smallest())
        assert sizes(sandwich[-1]) == sizes(space.largest())
    assert drawn[:length] != drawn[length : 2 * length]


def test_a_sample_is_a_function_of_seed_and_iteration(space):
    subnets, others = (SuccessiveSubnets(sampler(space, seed)) for seed in (1, 2))
    first = [subnets[i] for i in range(8)]
    assert first == [subnets[i] for i in reversed(range(8))][::-1]
    assert first == [SuccessiveSubnets(sampler(space, 1))[i] for i in range(8)]
    assert first != [others[i] for i in range(8)]


class OneMoreEachTime(SubnetSampler):
    """Proposes one subnet, then two, then three."""

    asked = 0

    def propose(self, iteration):
        self.asked += 1
        return {None: [f'{iteration}.{place}' for place in range(iteration + 1)]}


def test_a_sampler_may_propose_any_number_of_subnets(space):
    asked = OneMoreEachTime({None: space}, 0)
    subnets = SuccessiveSubnets(asked)
    assert [subnets[i] for i in range(6)] == ['0.0', '1.0', '1.1', '2.0', '2.1', '2.2']
    # Each proposal once.
    assert asked.asked == 3
    assert SuccessiveSubnets(OneMoreEachTime({None: space}, 0))[4] == '2.1'


def test_one_architecture_is_taken_always():
    space = SearchSpace.fixed(FIXED, TRANSFORMER)
    subnets = SuccessiveSubnets(sampler(space, 0))
    assert {subnets[i] for i in range(9)} == {FIXED}


def test_a_resumed_run_samples_what_the_whole_one_does(config, ran, tmp_path):
    build_runner(config, **{'train_cfg.max_epochs': 3, 'work_dir': str(tmp_path / 'whole')}).train()
    whole = list(ran.in_training)
    ran.in_training.clear()
    build_runner(config, **{'train_cfg.max_epochs': 1}).train()
    # Another seed in the config: that of the checkpoint counts.
    again = {'train_cfg.max_epochs': 3, 'resume': True, 'randomness.seed': 11}
    build_runner(config, **again).train()
    assert len(whole) == 6 and ran.in_training == whole


def test_evaluation_takes_the_largest_or_the_arch_given_for_it(config, ran):
    runner = build_runner(config)
    runner.train()
    assert 'train_step' not in vars(runner.model) and active() is None
    runner.test()
    assert set(ran.in_evaluation) == {runner.model.backbone.space.largest()}
    ran.in_evaluation.clear()
    build_runner(config, **{'model.backbone.arch': ARCH}).test()
    assert set(ran.in_evaluation) == {FIXED}


def test_nothing_stays_active_when_a_step_raises(config, monkeypatch):
    runner, seen = build_runner(config), []

    def fail(*_, **__):
        seen.append(active())
        raise RuntimeError('boom')

    monkeypatch.setattr(runner.model.head, 'loss', fail)
    with pytest.raises(RuntimeError, match='boom'):
        runner.train()
    proposed = SuccessiveSubnets(sampler(runner.model.backbone.space, runner.seed))
    assert seen[0].spec == proposed[0]
    assert active() is None


def test_a_fixed_arch_is_not_sampled(config):
    with raises_naming(ValueError, 'arch', 'SampleSubnetHook'):
        build_runner(config, **{'model.backbone.arch': ARCH}).train()


def test_there_has_to_be_an_elastic_backbone(config):
    plain = dict(_delete_=True, type='ResNet_CIFAR', depth=18, base_channels=4, stem_channels=4)
    with raises_naming(ValueError, 'SampleSubnetHook', 0):
        build_runner(config, **{'model.backbone': plain}).train()
