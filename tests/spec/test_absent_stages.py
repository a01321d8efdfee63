"""Stages that an architecture may lack: every operation of a space, files, and counts."""

import random

import numpy as np
import pytest
from numerics.small_swin_unet import build_swin_unet
from refusals import raises_naming

from mdl_nas_mm.families.swin import SWIN
from mdl_nas_mm.families.swin_unet import CELL_TREE, SKELETONS, cells_of, restrict
from mdl_nas_mm.search.encoding import Encoder
from mdl_nas_mm.spec import BatchLedger, JointSpec, SearchSpace
from mdl_nas_mm.spec.spec import united

CELLS = ('e1', 'e2', 'e3', 'd3.2')


@pytest.fixture(scope='module')
def tree():
    return build_swin_unet()


@pytest.fixture(scope='module')
def part(tree):
    """The space without the other cells."""
    stages = tree.space.to_config()
    kept = cells_of(restrict(tree.space.largest(), CELLS))
    names = cells_of(tree.space.largest())
    absent = [s if name in kept else dict(depth=0) for name, s in zip(names, stages)]
    return SearchSpace.from_config(absent, CELL_TREE)


def test_a_space_without_some_stages_makes_architectures_without_them(tree, part):
    rng = random.Random(0)
    specs = [part.largest(), part.smallest(), *part.sandwich(rng)]
    specs += [part.mutate(spec, rng, 0.5, 0.5) for spec in specs]
    specs += [part.crossover(*rng.sample(specs, 2), rng) for _ in range(5)]
    specs += [part.resample_ratios(spec, rng) for spec in specs]
    for spec in specs:
        assert cells_of(spec) == CELLS
        part.check(spec)
        tree.space.check(spec)
        assert CELL_TREE.read(spec.to_dict()) == spec
        assert SearchSpace.fixed(spec, CELL_TREE).largest() == spec
    part.check_part_of(tree.space, 'the whole')
    with raises_naming(ValueError, 'stage 3', 'the part'):
        tree.space.check_part_of(part, 'the part')
    with raises_naming(ValueError, 'stage 3', 'space'):
        part.check(tree.space.smallest())
    assert SearchSpace.from_config(part.to_config(), CELL_TREE) == part


def test_an_architecture_that_says_no_more_of_a_stage(tree):
    spec = restrict(tree.space.largest(), CELLS)
    stages = [s if s['depth'] else dict(depth=0) for s in spec.to_dict()['stages']]
    assert tree.space.read(dict(stages=stages)) == spec


def test_other_families_have_all_of_their_stages():
    stages = SWIN.spaces['swin-t']
    with raises_naming(ValueError, 'stage 3', 'depth'):
        SearchSpace.from_config([*stages[:3], dict(stages[3], depth=0)], SWIN.dimensions)
    with raises_naming(ValueError, 'stage 3', "'embed_dim'"):
        SWIN.dimensions.read(dict(stages=[*stages[:3], dict(depth=0)]))


def test_architectures_that_are_parts_of_one():
    space = build_swin_unet().space
    whole, other = space.largest(), space.smallest()
    parts = [restrict(whole, skeleton.cells) for skeleton in SKELETONS['single-scale']]
    assert united(parts) == whole and united(parts[:1]) == parts[0]
    assert united([parts[1], restrict(other, ['e1'])]) is None
    assert united([whole, whole]) == whole and united([whole, other]) is None


def test_counts_of_many_joint_specs(tree):
    """Of tasks with different cells, at once and one by one."""
    rng, ledger = random.Random(0), tree.ledger()
    joints = []
    for _ in range(20):
        own = [rng.choice(SKELETONS['multi-scale']).cells for _ in range(3)]
        own[0] = rng.choice(SKELETONS['single-scale']).cells
        specs = [restrict(tree.space.sample(rng), cells) for cells in own]
        joints.append(JointSpec(dict(zip('abc', specs))))
    totals = [ledger.count(joint).total for joint in joints]
    assert np.array_equal(BatchLedger(ledger).totals(joints), totals)


def test_counts_of_many_tasks_that_share_a_pass(tree):
    """Sixteen of one architecture's cells, and one of another: there are 2^17 sets of them."""
    rng, ledger = random.Random(0), tree.ledger()
    joints = []
    for _ in range(3):
        whole, other = tree.space.sample(rng), tree.space.sample(rng)
        cells = [rng.choice(SKELETONS['multi-scale']).cells for _ in range(16)]
        specs = {f't{i}': restrict(whole, own) for i, own in enumerate(cells)}
        joints.append(JointSpec({**specs, 'u': other}))
    totals = [ledger.count(joint).total for joint in joints]
    assert np.array_equal(BatchLedger(ledger).totals(joints), totals)


def test_what_is_learned_from_architectures_knows_what_is_not_there(tree):
    encoder = Encoder(tree.space.choices())
    whole = tree.space.largest()
    rows = encoder([whole, restrict(whole, CELLS)])
    there = [column.stage in (0, 1, 2, 5) for column in encoder.columns]
    assert np.array_equal(rows[1] > 0, there) and (rows[0] > 0).all()
    assert np.array_equal(rows[0][there], rows[1][there])
