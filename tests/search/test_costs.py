"""Costs and selections that a config may name."""

import random

import pytest
from refusals import raises_naming
from search.conftest import each

from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.search import (
    BestCandidate,
    EvolutionSettings,
    ExactSelection,
    ParameterCost,
    ScoredJoint,
    search,
    smallest_total,
)
from mdl_nas_mm.search.constraints import Constraint, Constraints
from mdl_nas_mm.search.costs import LatencyCost, SumOfTasks, _microseconds
from mdl_nas_mm.search.evolution import leaders
from mdl_nas_mm.search.measures import Measure
from mdl_nas_mm.search.registered import build, check_part_config
from mdl_nas_mm.search.ties import Ties
from mdl_nas_mm.spec import JointSpec, SearchSpace

TASKS = ('cls', 'det')
SMALL = EvolutionSettings(population=12, generations=5, parents=4, crossovers=5, mutations=5)
WEIGHTS = dict(cls=1.0, det=2.0)


class Largest:
    """What the dearer one of the tasks costs: no sum of parts."""

    unit = 'things'

    def __init__(self, measure):
        self.sum = SumOfTasks(dict.fromkeys(TASKS, measure), None)

    def totals(self, joints):
        return [max(map(self.sum.measures['cls'], joint.values())) for joint in joints]

    def floors(self, spaces):
        return {task: space.largest() for task, space in spaces.items()}


def test_the_best_candidate_of_a_cost_that_is_no_sum(space, make_ledger, proposed):
    ledger = make_ledger(space, 'Sequential')
    cost, selection = Largest(ledger.params), BestCandidate(WEIGHTS)
    spaces, budget = dict.fromkeys(TASKS, space), ledger.params(space.largest())
    values = {}

    def score(task, spec):
        values[task, spec] = random.Random(f'{task}{spec}').random()
        return values[task, spec] if spec.depth == 1 or task == 'cls' else None

    result = search(spaces, cost, each(score), selection, budget, SMALL, random.Random(0))
    points = [
        (sum(WEIGHTS[t] * values[t, s] for t, s in joint.items()), -cost.totals([joint])[0])
        for joint in proposed
        if joint['det'].depth == 1
    ]
    assert (result.score, -result.total) == max(points)
    assert result.best in proposed
    front = selection.front(result.scored, result.candidates)
    for point in front:
        fitting = [score for score, total in points if -total <= point.total]
        assert point.score == max(fitting)
    assert (front[-1].score, front[-1].joint) == (result.score, result.best)
    with raises_naming(ValueError, 'Largest', 'split'):
        ExactSelection(cost, WEIGHTS)


def test_of_equal_candidates_the_cheapest_and_then_the_first_is_chosen(space):
    joints = [JointSpec(dict(cls=spec)) for spec in (space.smallest(), space.largest())]
    points = [ScoredJoint(joint, 1.0, total, {}) for joint, total in zip(joints * 2, (5, 4, 4, 9))]
    assert BestCandidate({}).best({}, points, 9) is points[1]
    assert BestCandidate({}).best({}, points, 3) is None
    assert BestCandidate({}).front({}, points) == [points[1]]
    assert leaders(points[:2], points[0]) == [joints[1], joints[0]]
    # Of one total the best is in front, in whatever order they were found.
    better = ScoredJoint(joints[0], 2.0, 4, {})
    for order in ([*points, better], [better, *points]):
        assert BestCandidate({}).front({}, order) == [better]
        assert BestCandidate({}).best({}, order, 4) is better


def test_what_costs_just_the_limit_is_allowed(space):
    smallest, largest = space.smallest(), space.largest()
    costs = {smallest: 3.5, largest: 4.0}
    measure = Measure(costs.__getitem__, 'ms')
    limits = Constraints((Constraint('cls', measure, 4.0), Constraint('det', measure, 3.5)))
    allowed = {(t, s): limits.allow(t, s) for t in ('cls', 'det', 'seg') for s in costs}
    assert [pair for pair, is_allowed in allowed.items() if not is_allowed] == [('det', largest)]
    limits.check(JointSpec(dict(cls=smallest, det=smallest)))
    with raises_naming(ValueError, 'det', '3.5', '4.0'):
        limits.check(JointSpec(dict(cls=smallest, det=largest)))


def test_milliseconds_are_rounded_to_the_nearest_microsecond(space):
    """In floating-point numbers 1.001 ms are 1000.999... of them."""
    assert 1000 * 1.001 < 1001
    assert _microseconds(lambda _: 1.001, space.smallest()) == 1001
    assert LatencyCost.parse_budget('1.001ms') == 1001


def test_a_budget_of_another_unit(space, make_ledger, proposed):
    """A task that costs three times as much has to be the smaller one."""
    ledger = make_ledger(space, 'Sequential')
    measures = dict(cls=ledger.params, det=lambda spec: 3 * ledger.params(spec))
    cost, spaces = SumOfTasks(measures, space), dict.fromkeys(TASKS, space)
    cost.unit = 'things'
    least = smallest_total(spaces, cost)[1]
    assert least == 4 * ledger.params(space.smallest())
    selection = ExactSelection(cost, dict.fromkeys(TASKS, 1.0))
    args = (each(lambda _, spec: ledger.params(spec)), selection)
    result = search(spaces, cost, *args, 2 * least, SMALL, random.Random(0))
    assert result.scores['cls'] > result.scores['det']
    assert all(cost.totals([joint])[0] <= 2 * least for joint in proposed)
    with raises_naming(ValueError, f'{least - 1:,} things', f'{least:,}'):
        search(spaces, cost, *args, least - 1, SMALL, random.Random(0))


def test_tasks_with_spaces_of_their_own(space, make_ledger, proposed):
    """With a budget that makes repairs necessary as well."""
    ledger = make_ledger(space, 'Sequential')
    narrow = dict(embed_dim=6, depth=(1, 2), num_heads=1, mlp_ratio=1, share_ratio=(0, 1))
    spaces = dict(cls=space, det=SearchSpace.from_config(narrow, TRANSFORMER))
    cost = ParameterCost(ledger)
    selection = ExactSelection(cost, dict.fromkeys(TASKS, 1.0))
    least = smallest_total(spaces, cost)[1]
    for budget in (least + 50, 10**9):
        args = (each(lambda _, spec: ledger.params(spec)), selection, budget)
        search(spaces, cost, *args, SMALL, random.Random(0))
    for joint in proposed:
        spaces['cls'].check(joint['cls'])
        spaces['det'].check(joint['det'])
    with raises_naming(ValueError, 'search_cfg.tied', "'cls'", "'det'"):
        search(spaces, cost, *args, SMALL, random.Random(0), ties=Ties(TASKS, (TASKS,)))


@pytest.mark.parametrize(
    ('part', 'config', 'named'),
    [
        ('cost', dict(type='os.system'), ("'os.system'",)),
        ('cost', dict(), (None,)),
        ('cost', 'ParameterCost', ("'ParameterCost'", 'dict')),
        ('cost', dict(type='ParameterCost', heads=1), ('ParameterCost', "'heads'")),
        ('cost', dict(type='ParameterCost', ledger=1), ('ParameterCost', "'ledger'")),
        ('cost', dict(type='LatencyCost'), ('LatencyCost', "'tables'")),
        ('score', dict(type='PredictorScore', n=1), ('PredictorScore', "'n'")),
        ('selection', dict(type='FlopsCost'), ("'FlopsCost'",)),
    ],
    ids=str,
)
def test_parts_that_are_refused(part, config, named):
    with raises_naming(ValueError, f'search_cfg.{part}', *named):
        check_part_config(part, config)


def test_a_part_is_given_what_its_constructor_names(space, make_ledger):
    there = dict(ledger=make_ledger(space, 'Mask'), spaces={}, images={})
    cost = build('cost', dict(type='ParameterCost', with_heads=False), **there)
    assert cost.ledger is there['ledger'] and not cost.batch.with_heads
    selection = build('selection', dict(type='mdl_nas_mm.BestCandidate'), weights=WEIGHTS)
    assert selection.weights is WEIGHTS
