"""Searches in which tasks, or the blocks of a stage, have to be alike."""

import random

import pytest
from search.conftest import each, find, smallest_of

from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.search import EvolutionSettings
from mdl_nas_mm.spec import JointSpec, SearchSpace

TASKS = ('cls', 'det', 'seg')
SMALL = dict(population=12, generations=5, parents=4, crossovers=5, mutations=5)
SHARINGS = ('Sequential', 'Mask')


@pytest.fixture
def alike() -> SearchSpace:
    """Blocks of one stage are alike, so there are 108 architectures."""
    return SearchSpace.from_config(
        dict(
            embed_dim=(6, 8),
            depth=(1, 2, 3),
            num_heads=(1, 2, 3),
            mlp_ratio=(1, 2),
            share_ratio=(0, 0.5, 1),
            per_stage=True,
        ),
        TRANSFORMER,
    )


def run(*args, tied=()):
    return find(*args, EvolutionSettings(**SMALL), random.Random(0), tied=tied)


@pytest.mark.parametrize('sharing', SHARINGS)
@pytest.mark.parametrize('slack', [0, 20, 10**6])
def test_one_architecture_for_all_tasks(space, make_ledger, proposed, slack, sharing):
    """Drawn, crossed, mutated and repaired ones alike; a small slack makes repairs necessary."""
    ledger = make_ledger(space, sharing)
    budget = smallest_of(space, ledger, TASKS)[1] + slack
    args = (space, TASKS, ledger, each(lambda _, spec: ledger.params(spec) / 10), budget)
    result = run(*args, tied=[TASKS])
    joints = list(proposed)
    assert result.best in joints and len(joints) == len(set(joints))
    for joint in joints:
        space.check_joint(joint, TASKS)
        assert len(set(joint.values())) == 1
        assert ledger.count(joint).total <= budget
    if slack == 10**6:
        assert len(joints) == 12 * 5
        run(*args)
        assert any(len(set(joint.values())) > 1 for joint in proposed[len(joints) :])


def test_one_architecture_weighs_all_tasks(space, make_ledger):
    """What is best for the sum wins, though each task alone would take another."""
    ledger = make_ledger(space, 'Sequential')

    def evaluate(task, spec):
        ratio = spec.stages[0].blocks[0].attn_share_ratio
        return {'cls': {0: 4, 0.5: 3, 1: 0}, 'det': {0: 0, 0.5: 3, 1: 4}}[task][ratio]

    for same, expected in ((True, (6, {0.5})), (False, (8, {0, 1}))):
        args = (each(evaluate), 10**9, EvolutionSettings(**SMALL), random.Random(0))
        tied = [('cls', 'det')] if same else []
        result = find(space, ('cls', 'det'), ledger, *args, tied=tied)
        ratios = {spec.stages[0].blocks[0].attn_share_ratio for spec in result.best.values()}
        assert (result.score, ratios) == expected


@pytest.mark.parametrize('sharing', SHARINGS)
@pytest.mark.parametrize('slack', [0, 5, 50, 10**6])
def test_blocks_of_a_stage_stay_alike(alike, make_ledger, proposed, slack, sharing):
    """The space refuses what is not, so repairs pull all blocks of a stage at once."""
    ledger = make_ledger(alike, sharing)
    smallest, least = smallest_of(alike, ledger, TASKS)
    alike.check_joint(smallest, TASKS)
    args = (alike, TASKS, ledger, each(lambda _, spec: ledger.params(spec) / 10), least + slack)
    run(*args)
    assert proposed
    for joint in proposed:
        alike.check_joint(joint, TASKS)
        assert ledger.count(joint).total <= least + slack


def test_alike_blocks_find_the_optimum_that_just_fits(alike, make_ledger):
    ledger, target = make_ledger(alike, 'Sequential'), alike.sample(random.Random(5))
    budget = ledger.count(JointSpec(dict.fromkeys(TASKS, target))).total

    def evaluate(_, spec):
        (stage,), (wanted,) = spec.stages, target.stages
        same = [stage.embed_dim == wanted.embed_dim, len(stage.blocks) == len(wanted.blocks)]
        keys = ('num_heads', 'mlp_ratio', 'attn_share_ratio')
        same += [getattr(stage.blocks[0], key) == getattr(wanted.blocks[0], key) for key in keys]
        return sum(same)

    settings = EvolutionSettings(population=30, generations=20, crossovers=10, mutations=10)
    result = find(alike, TASKS, ledger, each(evaluate), budget, settings, random.Random(0))
    assert result.best == JointSpec(dict.fromkeys(TASKS, target))
    assert result.total == budget
