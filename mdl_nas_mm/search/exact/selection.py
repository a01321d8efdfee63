"""The exact best joint spec among scored ones under a budget, and the exact Pareto front.

Every (task, architecture) was scored by itself, so any combination of scored architectures has a
known S-Score (Eq. 10) and a known total (Eq. 11). Nothing here is sampled: what is returned is
what comparing all combinations would give, found without looking at most of them.

Scores are compared in decimal steps, some 1e-11 of the largest one. So sums of scores that have up
to nine decimals are ties where they differ by rounding alone, whatever they are sums of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mdl_nas_mm.spec import JointSpec

from ..scored import Scored, ScoredJoint
from ..ties import Ties
from .branch_and_bound import Tree
from .choices import Choices
from .records import Best, Front, Point
from .tied_choices import tied_choices

if TYPE_CHECKING:
    from ..costs import SplitCost

# The front is searched in windows of the total, as bounds are good near one total only. Their
# number grows with the square root of that of the combinations.
_MOST_WINDOWS = 64
_ROOT_A_WINDOW = 300


def select(
    scored: Scored,
    cost: SplitCost,
    budget: int,
    weights: Mapping[str, float],
    ties: Ties | None = None,
) -> ScoredJoint | None:
    """The joint spec of the highest S-Score among scored architectures whose total fits.

    Equal scores go to the smaller total, then to what comes first in ``scored``: of the first task,
    and of those with which it has anything in common, then of the next.

    Args:
        scored: task -> architecture -> score.
        cost: of joint specs, of which the totals are.
        budget: the most that the total may be (Eq. 11).
        weights: task -> lambda_k.
        ties: what the tasks' architectures have in common; by default nothing.

    Returns:
        The best joint spec, or None if none fits.

    Raises:
        ValueError: there is no task, or a score or weight is not finite.
    """
    problem = _Problem(scored, cost, weights, ties)
    if not problem.solvable:
        return None
    point = problem.best(budget - problem.constant)
    return None if point is None else problem.scored_joint(point)


def pareto_front(
    scored: Scored,
    cost: SplitCost,
    weights: Mapping[str, float],
    ties: Ties | None = None,
    max_points: int | None = None,
    windows: int | None = None,
) -> list[ScoredJoint]:
    """Every (total, S-Score) that no other combination is at least as good as in both, exactly.

    A front of five tasks with hundreds of architectures each has thousands of points. With
    ``max_points``, that many budgets are spread evenly from the smallest total to that of the
    highest score, and the best joint spec for each is found exactly. So each point returned is
    one of the front, and only points between them are missing.

    Args:
        scored, cost, weights, ties: as for ``select``, which gives the same joint
            spec for a budget of a point's total.
        max_points: the most points to find; None for all.
        windows: into how many ranges of the total the search for all points is divided, which
            changes how long it takes, not what it finds; None for a number that grows with that
            of the combinations.

    Returns:
        The points, ascending in total and S-Score.

    Raises:
        ValueError: as ``select``; ``max_points`` is below 1.
    """
    if max_points is not None and max_points < 1:
        raise ValueError(f'selection: max_points is {max_points}, expected at least 1')
    problem = _Problem(scored, cost, weights, ties)
    if not problem.solvable:
        return []
    return [problem.scored_joint(point) for point in problem.front(max_points, windows)]


class _Problem:
    """The scored architectures as arrays, and what was found about them."""

    def __init__(
        self,
        scored: Scored,
        cost: SplitCost,
        weights: Mapping[str, float],
        ties: Ties | None,
    ) -> None:
        _check(scored, weights)
        self.scored, self.weights = scored, weights
        self.specs = {task: list(specs) for task, specs in scored.items()}
        ties = ties or Ties(tuple(scored))
        self.groups = ties.groups
        self.solvable = all(self.specs.values())
        if not self.solvable:
            return
        steps = _steps([[weights[t] * scored[t][s] for s in self.specs[t]] for t in scored])
        costs = cost.split(self.specs)
        self.constant = costs.constant
        choices = Choices(steps, costs.own, costs.shares, costs.sizes)
        choices, numbers = tied_choices(choices, self.specs, ties)
        self.solvable = all(map(len, numbers))
        if not self.solvable:
            return
        # Which of the given ones are left, in their order, so that it still decides ties.
        kept = choices.undominated()
        self.choices = choices.keep(kept)
        self.numbers = [of_group[k] for of_group, k in zip(numbers, kept)]
        self.single = len(self.groups) == 1
        self.known: list[Point] = []

    def scored_joint(self, point: Point) -> ScoredJoint:
        """The joint spec of a point."""
        found = {}
        for group, numbers, i in zip(self.groups, self.numbers, point.joint, strict=True):
            found.update({task: self.specs[task][n] for task, n in zip(group, numbers[i])})
        joint = JointSpec({task: found[task] for task in self.scored})
        scores = {task: self.scored[task][spec] for task, spec in joint.items()}
        score = sum(self.weights[task] * scores[task] for task in joint)
        return ScoredJoint(joint, float(score), int(point.total) + self.constant, scores)

    def best(self, budget: float) -> Point | None:
        """The best point within a budget for backbones."""
        record = Best(min(budget, self.choices.ceiling()))
        for point in self._singles() if self.single else self.known:
            record.offer(point)
        if self.single:
            return record.point
        tree = Tree(self.choices, record)
        root = tree.root(record.budget)
        tree.climb(root)
        if record.point is None and tree.least(root) <= record.budget:
            record.offer(self.smallest())
        if record.point is None:
            return None
        tree.explore(root)
        self.known.append(record.point)
        return record.point

    def smallest(self) -> Point:
        """A point of the smallest total."""
        if self.single:
            return min(self._singles(), key=lambda point: point.total)
        choices = self.choices.without_scores()
        record = Best(choices.ceiling())
        tree = Tree(choices, record)
        root = tree.root(record.budget)
        tree.climb(root)
        tree.explore(root)
        assert record.point is not None
        return self.choices.point(record.point.joint)

    def front(self, max_points: int | None, windows: int | None) -> list[Point]:
        """The whole front, or the best points at so many budgets, ascending."""
        if max_points is not None:
            return self._spread(max_points)
        if self.single:
            return Front(self._singles(), -np.inf, np.inf).points
        if windows is None:
            combinations = math.prod(len(scores) for scores in self.choices.scores)
            windows = min(_MOST_WINDOWS, 1 + math.isqrt(combinations) // _ROOT_A_WINDOW)
        edges = self._spread(windows + 1)
        points = edges
        for low, high in zip(edges, edges[1:]):
            record = Front(points, low.total, high.total - 1)
            tree = Tree(self.choices, record)
            tree.explore(tree.root((low.total + high.total) / 2))
            points = record.points
        return points

    def _spread(self, count: int) -> list[Point]:
        """The best points at budgets that are spread evenly over the front, ascending."""
        high, low = self.best(np.inf), self.smallest()
        assert high is not None
        self.known.append(low)
        points = [high]
        for budget in np.linspace(high.total, low.total, count)[1:]:
            if points[-1].total > budget:
                # No budget is below the smallest total.
                found = self.best(math.floor(budget))
                assert found is not None
                points.append(found)
        return points[::-1]

    def _singles(self) -> list[Point]:
        """Every point, where there is one choice to be made."""
        return [self.choices.point([i]) for i in range(len(self.choices.own[0]))]


def _check(scored: Scored, weights: Mapping[str, float]) -> None:
    """Raises ValueError unless there are tasks, and all scores and weights are finite."""
    if not scored:
        raise ValueError('selection: no task is given')
    for task, specs in scored.items():
        if not math.isfinite(weights[task]):
            raise ValueError(f'selection: the weight of task {task!r} is {weights[task]}')
        for spec, score in specs.items():
            if not math.isfinite(score):
                raise ValueError(f'selection: task {task!r} has score {score} for {spec}')


def _steps(values: list[list[float]]) -> list[np.ndarray]:
    """Weighted scores as whole numbers of steps, of which the largest one has 1e11 to 1e12."""
    largest = max(abs(value) for task in values for value in task)
    # A power of ten: steps of another size would round equal sums of different terms apart.
    decimals = 11 - math.floor(math.log10(largest)) if largest else 0
    return [np.round(np.array(task) * 10.0**decimals) for task in values]
