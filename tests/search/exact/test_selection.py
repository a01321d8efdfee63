"""The exact selection and the exact front against trying every combination."""

import random
from itertools import product

import numpy as np
import pytest
import torch
from refusals import raises_naming
from roles import ROLES

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.families import ElasticViT
from mdl_nas_mm.families.swin import SwinLayout, SwinShape
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.families.vit import ViTLayout, ViTShape
from mdl_nas_mm.search import ParameterCost
from mdl_nas_mm.search.costs import SumOfTasks
from mdl_nas_mm.search.exact import pareto_front, select
from mdl_nas_mm.search.exact import selection as selection_module
from mdl_nas_mm.search.ties import Ties
from mdl_nas_mm.sharing import Sharing
from mdl_nas_mm.spec import JointSpec, Ledger, SearchSpace

VIT = dict(
    embed_dim=(8, 12, 16),
    depth=(1, 2, 3),
    num_heads=(1, 2, 3),
    mlp_ratio=(1, 1.5, 2.5),
    attn_share_ratio=(0, 0.3, 0.55, 1),
    ffn_share_ratio=(0, 0.25, 0.8),
)
SWIN = [
    dict(
        embed_dim=(8, 12), depth=(1, 2), num_heads=(1, 2), mlp_ratio=(1, 2), share_ratio=(0.3, 0.7)
    ),
    dict(
        embed_dim=(16, 20),
        depth=2,
        num_heads=(2, 3),
        mlp_ratio=2,
        share_ratio=(0, 1),
        per_stage=True,
    ),
]
LAYOUTS = {
    'ViT': lambda: ViTLayout(
        SearchSpace.from_config(VIT, TRANSFORMER),
        ViTShape((16, 16), 4, 3, 4, max_relative_position=2),
    ),
    'Swin': lambda: SwinLayout(
        SearchSpace.from_config(SWIN, TRANSFORMER),
        SwinShape(4, 3, 4, (3, 3), out_stages=(1,)),
    ),
}
SHARINGS = {
    'shared': 'AllShared',
    'specific': 'AllSpecific',
    'sequential': 'Sequential',
    'mask': 'Mask',
    'mask by ratio': dict(type='Mask', threshold='ratio'),
    'mixed': dict(norm='AllSpecific', attn='Sequential', ffn='Mask'),
    'mixed masks': dict(norm='Mask', attn=dict(type='Mask', threshold='ratio'), ffn='AllShared'),
}
WEIGHTS = dict(a=1.0, b=0.3, c=2.0, d=0.7)
every_sharing = pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS.keys())


def build(layout, sharing, seed=0) -> ParameterCost:
    sharing, generator = Sharing.from_config(sharing, ROLES), np.random.default_rng(seed)
    scores = {
        use.layer: generator.random(use.groups * use.max_channels).astype(np.float32)
        for use in layout.uses(layout.space.largest())
        if sharing[use.role].has_scores
    }
    return ParameterCost(Ledger(layout, sharing, scores, heads=dict(a=100, b=7, c=1, d=3)))


def sample_scored(space, tasks, count, seed, coarse=False, common=0):
    """Random scored architectures, larger ones a little better; ``coarse`` scores tie often."""
    rng = random.Random(seed)
    shared = [space.sample(rng) for _ in range(common)]

    def score(spec):
        value = 50 + 3 * sum(stage.embed_dim for stage in spec.stages) / 10 + rng.gauss(0, 2)
        return round(value / 3) * 3.0 if coarse else value

    return {
        task: {
            spec: score(spec)
            for spec in shared + [space.sample(rng) for _ in range(count - common)]
        }
        for task in tasks
    }


class Everything:
    """Every combination, in the order that decides ties."""

    def __init__(self, scored, cost, weights, same=False):
        tasks = list(scored)
        if same:
            first = scored[tasks[0]]
            rows = [[s] * len(tasks) for s in first if all(s in scored[t] for t in tasks)]
        else:
            rows = list(product(*scored.values()))
        self.joints = [JointSpec(dict(zip(tasks, row, strict=True))) for row in rows]
        self.totals = cost.totals(self.joints).tolist()
        # Rounded, so that sums of equal terms are equal.
        self.scores = [
            round(sum(weights[task] * scored[task][spec] for task, spec in joint.items()), 8)
            for joint in self.joints
        ]

    def best(self, budget):
        """(joint spec, score, total) of the best that fits, or None."""
        fitting = [i for i, total in enumerate(self.totals) if total <= budget]
        if not fitting:
            return None
        return self._point(min(fitting, key=lambda i: (-self.scores[i], self.totals[i], i)))

    def front(self):
        """The points of ``best`` for every budget."""
        order = sorted(range(len(self.joints)), key=lambda i: (self.totals[i], -self.scores[i], i))
        points, highest = [], -np.inf
        for i in order:
            if self.scores[i] > highest:
                highest = self.scores[i]
                points.append(self._point(i))
        return points

    def budgets(self):
        """Below the smallest, on it, between, on the largest, and without limit."""
        ordered = sorted(self.totals)
        some = [ordered[len(ordered) * i // 100] for i in (1, 10, 30, 60, 90)]
        return [ordered[0] - 1, ordered[0], *some, ordered[-1] - 1, ordered[-1], 10**12]

    def _point(self, i):
        return self.joints[i], self.scores[i], self.totals[i]


def point(selection):
    return selection and (selection.joint, round(selection.score, 8), selection.total)


def all_tied(scored):
    """One architecture for all tasks."""
    return Ties(tuple(scored), (tuple(scored),) if len(scored) > 1 else ())


def check(scored, cost, weights, same=False):
    """Compares selections at many budgets, and the whole front, with trying everything."""
    ties = all_tied(scored) if same else None
    expected = Everything(scored, cost, weights, same)
    assert expected.joints
    for budget in expected.budgets():
        assert point(select(scored, cost, budget, weights, ties)) == expected.best(budget)
    front = pareto_front(scored, cost, weights, ties)
    assert [point(selection) for selection in front] == expected.front()
    for selection in front:
        counts = cost.ledger.count(selection.joint)
        assert selection.total == (counts.total if cost.batch.with_heads else counts.backbone_total)
        assert selection.scores == {t: scored[t][s] for t, s in selection.joint.items()}


@every_sharing
@pytest.mark.parametrize('name', LAYOUTS)
@pytest.mark.parametrize(('tasks', 'count'), [('a', 20), ('ab', 14), ('abc', 8), ('abcd', 5)])
def test_equals_trying_everything(name, sharing, tasks, count):
    cost = build(LAYOUTS[name](), sharing)
    scored = sample_scored(cost.ledger.layout.space, tasks, count, seed=len(tasks))
    check(scored, cost, WEIGHTS)


@every_sharing
@pytest.mark.parametrize('tasks', ['a', 'ab', 'abc'])
def test_ties_go_to_the_smaller_total_and_then_to_the_first(sharing, tasks):
    """Few different scores, and architectures that several tasks have."""
    cost = build(LAYOUTS['ViT'](), sharing)
    scored = sample_scored(cost.ledger.layout.space, tasks, 9, seed=3, coarse=True, common=4)
    check(scored, cost, WEIGHTS)
    constant = {task: dict.fromkeys(specs, 10.0) for task, specs in scored.items()}
    check(constant, cost, WEIGHTS)


@every_sharing
@pytest.mark.parametrize('tasks', ['a', 'ab', 'abcd'])
def test_same_architecture_for_all_tasks(sharing, tasks):
    cost = build(LAYOUTS['Swin'](), sharing)
    scored = sample_scored(cost.ledger.layout.space, tasks, 25, seed=4, common=15)
    check(scored, cost, WEIGHTS, same=True)
    front, some = (
        pareto_front(scored, cost, WEIGHTS, all_tied(scored), points) for points in (None, 3)
    )
    assert len(some) <= 3 and all(selection in front for selection in some)
    assert (some[0], some[-1]) == (front[0], front[-1])


@pytest.mark.slow
@every_sharing
@pytest.mark.parametrize('seed', range(2))
def test_equals_trying_everything_of_many(sharing, seed):
    cost = build(LAYOUTS['ViT'](), sharing, seed)
    for tasks, count in (('abc', 40), ('abcd', 14)):
        for coarse in (False, True):
            check(
                sample_scored(cost.ledger.layout.space, tasks, count, seed, coarse), cost, WEIGHTS
            )


@every_sharing
def test_front_in_many_windows(sharing):
    cost = build(LAYOUTS['ViT'](), sharing)
    for coarse in (False, True):
        scored = sample_scored(cost.ledger.layout.space, 'abc', 9, seed=12, coarse=coarse)
        front = pareto_front(scored, cost, WEIGHTS, windows=14)
        assert [point(s) for s in front] == Everything(scored, cost, WEIGHTS).front()


@pytest.mark.parametrize('tasks', ['a', 'ab', 'abc'])
def test_a_cost_that_each_task_pays_for_itself(tasks):
    ledger = build(LAYOUTS['ViT'](), 'AllSpecific').ledger
    space, measures = ledger.layout.space, dict.fromkeys(tasks, ledger.params)
    measures['a'] = lambda spec: 3 * ledger.params(spec)
    cost = SumOfTasks(measures, space)
    for same in (False, True):
        scored = sample_scored(space, tasks, 9, seed=13, coarse=True, common=6)
        expected = Everything(scored, cost, WEIGHTS, same)
        ties = all_tied(scored) if same else None
        for budget in expected.budgets():
            assert point(select(scored, cost, budget, WEIGHTS, ties)) == expected.best(budget)
        front = pareto_front(scored, cost, WEIGHTS, ties)
        assert [point(joint) for joint in front] == expected.front()


def test_five_tasks():
    cost = build(LAYOUTS['ViT'](), 'Sequential')
    scored = sample_scored(cost.ledger.layout.space, 'abcde', 4, seed=5)
    check(scored, cost, dict(WEIGHTS, e=1.1))


@pytest.mark.parametrize('threshold', ['score', 'ratio'])
def test_learned_mask_scores(threshold):
    torch.manual_seed(0)
    model = ElasticViT(
        space=dict(VIT, depth=(1, 2)),
        sharing=dict(type='Mask', threshold=threshold),
        tasks=('a', 'b', 'c'),
        img_size=8,
        patch_size=4,
        head_dim=4,
        max_relative_position=1,
    )
    before = {layer: scores.copy() for layer, scores in model.scores().items()}
    rng = random.Random(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    images, targets = torch.randn(8, 3, 8, 8), torch.randn(3, 8, 16)
    for _ in range(5):
        optimizer.zero_grad()
        for task, target in zip(model.tasks, targets, strict=True):
            with activate(task, model.space.sample(rng)):
                (output,) = model(images)
            (output - target).square().mean().backward()
        optimizer.step()
    learned = model.scores()
    assert all(not np.array_equal(before[layer], learned[layer]) for layer in learned)
    cost = ParameterCost(model.ledger(dict(a=5)))
    check(sample_scored(model.space, 'abc', 9, seed=6), cost, WEIGHTS)


def test_heads_count_as_the_cost_says():
    whole = build(LAYOUTS['ViT'](), 'Sequential')
    backbones = ParameterCost(whole.ledger, with_heads=False)
    scored = sample_scored(whole.ledger.layout.space, 'ab', 10, seed=7)
    check(scored, backbones, WEIGHTS)
    first, second = (pareto_front(scored, cost, WEIGHTS)[0] for cost in (whole, backbones))
    assert first.joint == second.joint
    assert first.total == second.total + 107


def test_points_at_evenly_spread_budgets_are_of_the_front():
    cost = build(LAYOUTS['ViT'](), 'Sequential')
    scored = sample_scored(cost.ledger.layout.space, 'abc', 12, seed=8)
    front = pareto_front(scored, cost, WEIGHTS)
    some = pareto_front(scored, cost, WEIGHTS, max_points=5)
    low, high = front[0].total, front[-1].total
    budgets = [int(np.floor(b)) for b in np.linspace(low, high, 5)]
    expected = [select(scored, cost, budget, WEIGHTS) for budget in budgets]
    assert len(front) > 10
    assert some == [s for i, s in enumerate(expected) if s not in expected[:i]]
    assert all(selection in front for selection in some)
    assert pareto_front(scored, cost, WEIGHTS, max_points=1) == front[-1:]


def test_sums_that_differ_by_rounding_are_ties():
    """0.1 + 0.2 + 0.3 depends on the order; all sums here are 0.6, so the smallest wins."""
    cost = build(LAYOUTS['ViT'](), 'Sequential')
    rng = random.Random(9)
    specs = [cost.ledger.layout.space.sample(rng) for _ in range(6)]
    scored = {
        'a': dict(zip(specs, (0.1, 0.2, 0.3))),
        'b': dict(zip(specs[1:], (0.2, 0.3, 0.1))),
        'c': dict(zip(specs[2:], (0.3, 0.1, 0.2))),
    }
    scored = {task: {s: v for s, v in specs.items() if v} for task, specs in scored.items()}
    check(scored, cost, dict(a=1.0, b=1.0, c=1.0))


def test_the_ninth_decimal_of_a_score_decides():
    """It is no rounding; what lies behind the eleventh is."""
    cost = build(LAYOUTS['ViT'](), 'Sequential')
    space = cost.ledger.layout.space
    small, large = space.smallest(), space.largest()
    weights = dict(a=1.0, b=1.0)
    for more, best in ((1e-9, large), (1e-13, small)):
        scored = dict(a={small: 80.0, large: 80.0 + more}, b={small: 70.0})
        found = select(scored, cost, 10**12, weights)
        assert found.joint == JointSpec(dict(a=best, b=small))
        assert found.score == scored['a'][best] + 70


def test_nothing_to_choose_from():
    cost = build(LAYOUTS['ViT'](), 'Sequential')
    scored = sample_scored(cost.ledger.layout.space, 'ab', 3, seed=10)
    for empty in (dict(scored, b={}), dict(a={}, b={})):
        assert select(empty, cost, 10**12, WEIGHTS) is None
        assert pareto_front(empty, cost, WEIGHTS) == []
    # No architecture is scored for both tasks.
    assert select(scored, cost, 10**12, WEIGHTS, all_tied(scored)) is None


def test_refuses_what_cannot_be_compared():
    cost = build(LAYOUTS['ViT'](), 'Sequential')
    scored = sample_scored(cost.ledger.layout.space, 'ab', 3, seed=11)
    with raises_naming(ValueError, 'task'):
        select({}, cost, 1, {})
    with raises_naming(ValueError, 'weight', "'b'", float('inf')):
        select(scored, cost, 1, dict(a=1.0, b=float('inf')))
    spec = next(iter(scored['a']))
    with raises_naming(ValueError, "'a'", 'score', float('nan')):
        select(dict(scored, a={spec: float('nan')}), cost, 1, WEIGHTS)
    with raises_naming(ValueError, 'max_points', 0):
        pareto_front(scored, cost, WEIGHTS, max_points=0)


@pytest.mark.parametrize('scale', [1.0, 0.7, 100.0, 1e-6])
def test_equal_sums_of_different_terms_are_ties(scale):
    """0.3 * 63 + 0.7 * 9 is 0.3 * 42 + 0.7 * 18, but not to the last bit of a float."""
    first, second = selection_module._steps(
        [[0.3 * 63 * scale, 0.3 * 42 * scale], [0.7 * 9 * scale, 0.7 * 18 * scale]]
    )
    assert first[0] + second[0] == first[1] + second[1]
