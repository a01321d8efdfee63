"""The exact best joint choice: a tree of choices, cut where nothing of use can follow.

A node has chosen for some tasks. What these cost is exact; what the other tasks add is bounded as
``bounds.py`` says, from which follows which of their choices can still be part of a joint choice
that is of use to the record. The last two tasks choose together, by counting all pairs exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import cast

import numpy as np

from .bounds import best_split, lower_costs
from .choices import Arrays, Choices
from .records import Best, Front, Point

# Steps of the dual at the root, below it, and further below.
_STEPS = (150, 40, 10)
# Multipliers, relative to a node's own, whose bounds are all tried.
_RATES = np.array([0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0])
# Scores and totals are whole numbers and bounds are rounded, by far less than this.
_HALF = 0.5
# Choices a task that exchanging pairs for a first good point looks at.
_LOCAL = 80


@dataclass(frozen=True)
class _Node:
    """Some tasks have chosen.

    Attributes:
        chosen: task -> its choice.
        score, total: of these.
        left: task -> its choices left, of the other tasks.
        sizes: (regions,), elements not paid for yet.
        split, rate: what bounds were computed with, see ``best_split``; (tasks left, regions).
        room, goal: of all targets, what the other tasks come closest to: elements and score.
    """

    chosen: dict[int, int]
    score: float
    total: float
    left: dict[int, np.ndarray]
    sizes: np.ndarray
    split: np.ndarray
    rate: float
    room: float
    goal: float


class Tree:
    """Finds everything that is of use to a record, for at least two tasks."""

    def __init__(self, choices: Choices, record: Best | Front) -> None:
        self.choices = choices
        self.record = record

    def root(self, budget: float) -> _Node:
        """The node in which no task has chosen, with bounds that are good at the budget."""
        choices, tasks = self.choices, len(self.choices.scores)
        split = np.full((tasks, len(choices.sizes)), 1 / tasks)
        costs = lower_costs(choices.own, choices.shares, choices.sizes, split)
        ranges = [max(np.ptp(scores) for scores in choices.scores), max(map(np.ptp, costs))]
        split, rate = best_split(
            choices.scores,
            choices.own,
            choices.shares,
            choices.sizes,
            room=budget,
            goal=-np.inf,
            start=(split, (ranges[0] or 1.0) / (ranges[1] or 1.0)),
            # Few choices are soon compared without good bounds.
            steps=min(_STEPS[0], sum(map(len, choices.scores))),
        )
        left = {task: np.arange(len(scores)) for task, scores in enumerate(choices.scores)}
        return _Node({}, 0.0, 0.0, left, choices.sizes, split, rate, budget, -np.inf)

    def least(self, root: _Node) -> float:
        """A total that no joint choice is below."""
        return sum(cost.min() for cost in self._costs(root)) - _HALF

    def _costs(self, root: _Node) -> list[np.ndarray]:
        choices = self.choices
        return lower_costs(choices.own, choices.shares, choices.sizes, root.split)

    def climb(self, root: _Node) -> None:
        """Offers good points: the bound's choices at some multipliers, then better pairs."""
        choices, tried, costs = self.choices, set(), self._costs(root)
        for rate in root.rate * np.geomspace(0.9, 1000, 80):
            values = [scores - rate * cost for scores, cost in zip(choices.scores, costs)]
            point = choices.point([int(value.argmax()) for value in values])
            if point.total <= root.room and point.joint not in tried:
                tried.add(point.joint)
                near = [np.sort(np.argsort(-value, kind='stable')[:_LOCAL]) for value in values]
                self._exchange(point, near)
            if len(tried) == 3:
                break

    def _exchange(self, point: Point, near: Arrays) -> None:
        """Lets two tasks at a time choose anew, as long as this finds better points."""
        record = self.record
        # A front is not climbed to.
        assert isinstance(record, Best)
        record.offer(point)
        before = None
        while before != point:
            before = point
            for pair in combinations(range(len(near)), 2):
                fixed = {task: i for task, i in enumerate(point.joint) if task not in pair}
                self._pairs(self._fixed(fixed, {task: near[task] for task in pair}))
                point = record.point or point

    def _fixed(self, chosen: dict[int, int], left: dict[int, np.ndarray]) -> _Node:
        """The node of some tasks' choices."""
        choices = self.choices
        score = sum(choices.scores[task][i] for task, i in chosen.items())
        total = sum(choices.own[task][i] for task, i in chosen.items())
        paid = np.zeros_like(choices.sizes)
        for task, i in chosen.items():
            paid = np.maximum(paid, choices.shares[task][i])
        sizes = choices.sizes * (1 - paid)
        total += float(choices.sizes @ paid)
        return _Node(chosen, score, total, left, sizes, np.zeros(0), 0.0, 0.0, 0.0)

    def explore(self, node: _Node) -> None:
        """Offers everything below a node that is of use."""
        if len(node.left) == 2:
            self._pairs(node)
            return
        columns = np.nonzero(node.sizes)[0]
        sizes, split = node.sizes[columns], node.split[:, columns]
        scores, own, shares = self._gather(node.left, columns)
        rate = node.rate
        if node.chosen:
            steps = _STEPS[min(len(node.chosen), len(_STEPS) - 1)]
            start = split, rate
            split, rate = best_split(scores, own, shares, sizes, node.room, node.goal, start, steps)
        costs = lower_costs(own, shares, sizes, split)
        found = self._filter(node.score, node.total, scores, costs, rate)
        if found is None:
            return
        kept, rate, _, _ = found
        left = {task: choices[k] for (task, choices), k in zip(node.left.items(), kept)}
        arrays = [[values[k] for values, k in zip(group, kept)] for group in (scores, own, shares)]
        costs = [cost[k] for cost, k in zip(costs, kept)]
        self._branch(replace(node, left=left, rate=rate), columns, arrays, costs, split)

    def _gather(self, left: dict[int, np.ndarray], columns: np.ndarray) -> list[list]:
        """Scores, own elements and shares of the choices left."""
        choices = self.choices
        return [
            [choices.scores[task][numbers] for task, numbers in left.items()],
            [choices.own[task][numbers] for task, numbers in left.items()],
            [choices.shares[task][np.ix_(numbers, columns)] for task, numbers in left.items()],
        ]

    def _branch(
        self, node: _Node, columns: np.ndarray, arrays: list[list], costs: list, split: np.ndarray
    ) -> None:
        """Explores the choices of the task that has the fewest left, the best first."""
        tasks, sizes = list(node.left), node.sizes[columns]
        j = int(np.argmin([len(numbers) for numbers in node.left.values()]))
        others = [i for i in range(len(tasks)) if i != j]
        scores, own, shares = arrays
        order = np.argsort(node.rate * costs[j] - scores[j], kind='stable')
        shares_j, scores_j = shares[j][order], scores[j][order]
        totals = node.total + own[j][order] + shares_j @ sizes
        split = _renormalised(split[others])
        # (choices of j, choices of another task): what the other adds at least.
        added = []
        for i, part in zip(others, split):
            priced = sizes * part
            added.append(own[i] + shares[i] @ priced - (shares_j * priced) @ shares[i].T)
        rest = [scores[i] for i in others]
        alive = self._alive(node.score + scores_j, totals, rest, added, node.rate)
        for n in np.nonzero(alive)[0]:
            score = node.score + scores_j[n]
            found = self._filter(score, totals[n], rest, [cost[n] for cost in added], node.rate)
            if found is None:
                continue
            kept, rate, room, goal = found
            unpaid, parts = node.sizes.copy(), np.zeros((len(others), len(node.sizes)))
            unpaid[columns] *= 1 - shares_j[n]
            parts[:, columns] = split
            self.explore(
                _Node(
                    {**node.chosen, tasks[j]: int(node.left[tasks[j]][order[n]])},
                    score,
                    totals[n],
                    {tasks[i]: node.left[tasks[i]][k] for i, k in zip(others, kept)},
                    unpaid,
                    parts,
                    rate,
                    room,
                    goal,
                )
            )

    def _alive(
        self, score: np.ndarray, total: np.ndarray, scores: Arrays, costs: Arrays, rate: float
    ) -> np.ndarray:
        """Which of many nodes may have something of use below them; ``costs`` has a row each."""
        goals, rooms = self._goals(score[:, None], total[:, None])
        alive = rooms >= _sum(cost.min(axis=1) for cost in costs)[:, None] - _HALF
        alive &= goals <= sum(values.max() for values in scores)
        for factor in rate * _RATES:
            bound = _sum((v - factor * cost).max(axis=1) for v, cost in zip(scores, costs))
            alive &= bound[:, None] + factor * rooms >= goals - _HALF
        return cast(np.ndarray, alive.any(axis=1))

    def _filter(
        self, score: float, total: float, scores: Arrays, costs: Arrays, rate: float
    ) -> tuple[list[np.ndarray], float, float, float] | None:
        """Which choices may be part of something of use below a node.

        Returns:
            A mask a task, and of the target that is hardest to exclude the multiplier that
            comes closest to it, its room and its goal; None if nothing is of use.
        """
        goals, rooms = self._goals(score, total)
        highest, least = sum(v.max() for v in scores), sum(cost.min() for cost in costs)
        alive = (goals <= highest) & (rooms >= least - _HALF)
        rates = rate * _RATES
        values = [[v - factor * cost for v, cost in zip(scores, costs)] for factor in rates]
        tops = [[v.max() for v in row] for row in values]
        slack = np.array([sum(row) + f * rooms - goals for row, f in zip(tops, rates)])
        alive &= (slack >= -_HALF).all(axis=0)
        if not alive.any():
            return None
        goals, rooms, slack = goals[alive], rooms[alive], slack[:, alive]
        kept = [
            (v >= v.max() - highest + goals.min())
            & (cost <= cost.min() - least + rooms.max() + _HALF)
            for v, cost in zip(scores, costs)
        ]
        for row, top, most in zip(values, tops, slack.max(axis=1)):
            for keep, v, t in zip(kept, row, top):
                keep &= v >= t - most - _HALF
        if not all(keep.any() for keep in kept):
            return None
        hardest = slack.min(axis=0).argmax()
        return kept, rates[slack[:, hardest].argmin()], rooms[hardest], goals[hardest]

    def _goals(self, score, total) -> tuple[np.ndarray, np.ndarray]:
        """What is left of the record's targets: scores to reach, elements to do it with."""
        need, limit = self.record.targets()
        return need - score, limit - total

    def _pairs(self, node: _Node) -> None:
        """Offers every pair of the last two tasks' choices that is of use, counted exactly."""
        need, limit = self.record.targets()
        goal, room = need.min() - node.score, limit.max() - node.total
        (first, second), (a, b) = node.left, node.left.values()
        choices = self.choices
        a = a[choices.scores[first][a] + choices.scores[second][b].max(initial=-np.inf) >= goal]
        b = b[choices.scores[second][b] + choices.scores[first][a].max(initial=-np.inf) >= goal]
        columns = np.nonzero(node.sizes)[0]
        sizes = node.sizes[columns]
        sized = choices.shares[first][np.ix_(a, columns)] * sizes
        other = choices.shares[second][np.ix_(b, columns)]
        costs = (choices.own[first][a] + sized.sum(axis=1))[:, None] - sized @ other.T
        costs += choices.own[second][b] + other @ sizes
        scores = choices.scores[first][a][:, None] + choices.scores[second][b]
        rows, cols = np.nonzero((scores >= goal) & (costs <= room))
        scores, costs = scores[rows, cols] + node.score, costs[rows, cols] + node.total
        while True:
            useful = self.record.useful(scores, costs)
            rows, cols, scores, costs = (v[useful] for v in (rows, cols, scores, costs))
            if not len(rows):
                return
            equal = scores == scores.max()
            equal &= costs == costs[equal].min()
            for n in np.nonzero(equal)[0]:
                joint = {**node.chosen, first: int(a[rows[n]]), second: int(b[cols[n]])}
                in_order = tuple(joint[task] for task in range(len(joint)))
                self.record.offer(Point(float(scores[n]), float(costs[n]), in_order))
            rows, cols, scores, costs = (v[~equal] for v in (rows, cols, scores, costs))


def _renormalised(split: np.ndarray) -> np.ndarray:
    """The same split among fewer tasks; even where none of them had a part."""
    whole = split.sum(axis=0)
    return np.where(whole > 0, split / np.where(whole > 0, whole, 1), 1 / len(split))


def _sum(arrays: Iterable[np.ndarray]) -> np.ndarray:
    return cast(np.ndarray, sum(arrays))
