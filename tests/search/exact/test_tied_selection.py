"""The exact selection among tasks that are tied, against trying every combination."""

import random
from itertools import product

import pytest
from search.exact.test_selection import LAYOUTS, WEIGHTS, build, every_sharing, point, sample_scored
from search.roots_once import RootsOnce, spaces_of

from mdl_nas_mm.search.exact import pareto_front, select
from mdl_nas_mm.search.ties import Ties
from mdl_nas_mm.spec import JointSpec

# Groups of tasks, and what has to be equal in a joint spec.
GROUPS = {
    'one backbone': ([('a', 'b', 'c')], lambda a, b, c: a.root == b.root == c.root),
    'some have one': ([('a', 'c')], lambda a, b, c: a.root == c.root),
    'heads too': (
        [('a', 'b', 'c'), ('a.head', 'c.head')],
        lambda a, b, c: a.root == b.root == c.root and a.part('a.head') == c.part('c.head'),
    ),
}


def joints_of(scored, ties, agree):
    """All joint specs that agree, in the order that decides between equal ones."""
    order = [task for group in ties.groups for task in group]
    found = []
    for row in product(*(scored[task] for task in order)):
        of_task = dict(zip(order, row))
        if agree(*(of_task[task] for task in scored)):
            found.append(JointSpec({task: of_task[task] for task in scored}))
    return found


def check(scored, cost, given, agree):
    """Selections at some budgets, and the whole front."""
    ties = Ties.of(tuple(scored), given)
    joints = joints_of(scored, ties, agree)
    totals = cost.totals(joints).tolist()
    scores = [round(sum(WEIGHTS[t] * scored[t][s] for t, s in j.items()), 8) for j in joints]
    points = [(-score, total, i) for i, (score, total) in enumerate(zip(scores, totals))]
    assert len(points) > 3
    ordered = sorted(totals)
    for budget in (ordered[0] - 1, *ordered[:: max(len(ordered) // 7, 1)], 10**12):
        fitting = [each for each in points if each[1] <= budget]
        best = min(fitting, default=None)
        expected = best and (joints[best[2]], -best[0], best[1])
        assert point(select(scored, cost, budget, WEIGHTS, ties)) == expected
    front, highest = [], float('-inf')
    for negative, total, i in sorted(points, key=lambda each: (each[1], each[0], each[2])):
        if -negative > highest:
            highest = -negative
            front.append((joints[i], -negative, total))
    assert [point(each) for each in pareto_front(scored, cost, WEIGHTS, ties)] == front


def with_heads(count, seed, coarse):
    """Few backbones, each with some heads of every task."""
    rng, spaces = random.Random(seed), spaces_of('abc')
    roots = [spaces['a'].root.sample(rng) for _ in range(4)]
    heads = [spaces['a'].sample(rng).part('a.head') for _ in range(3)]
    scored = {}
    for task, space in spaces.items():
        specs = {}
        while len(specs) < count:
            spec = space.sample(rng).with_root(rng.choice(roots))
            if rng.random() < 0.6:
                stages = spec.root.stages + rng.choice(heads).stages
                spec = type(spec)(stages, spec.parts)
            value = 50 + len(spec.stages) + rng.gauss(0, 2)
            specs[spec] = round(value / 3) * 3.0 if coarse else value
        scored[task] = specs
    return scored


@pytest.mark.parametrize('given', GROUPS)
@pytest.mark.parametrize('coarse', [False, True])
def test_backbones_in_common_and_heads_of_their_own(given, coarse):
    for seed in range(3):
        check(with_heads(9, seed, coarse), RootsOnce(), *GROUPS[given])


@every_sharing
def test_some_tasks_have_one_architecture(sharing):
    """The elements that tasks share, and architectures that not all tied tasks were scored with."""
    cost = build(LAYOUTS['Swin'](), sharing)
    scored = sample_scored(cost.ledger.layout.space, 'abcd', 7, seed=2, common=5)
    for given, agree in (
        ([('a', 'c')], lambda a, b, c, d: a == c),
        ([('a', 'd'), ('b', 'c')], lambda a, b, c, d: a == d and b == c),
    ):
        check(scored, cost, given, agree)


def test_nothing_that_tied_tasks_were_both_scored_with():
    cost = build(LAYOUTS['ViT'](), 'Sequential')
    scored = sample_scored(cost.ledger.layout.space, 'abc', 3, seed=10)
    ties = Ties.of('abc', [('a', 'b')])
    assert select(scored, cost, 10**12, WEIGHTS, ties) is None
    assert pareto_front(scored, cost, WEIGHTS, ties) == []
