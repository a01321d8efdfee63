"""What an exact selection has found so far, and what is still worth looking for."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import cast

import numpy as np


@dataclass(frozen=True)
class Point:
    """A choice for every task.

    Attributes:
        score: the sum of the tasks' scores, a whole number of steps.
        total: elements.
        joint: a task -> number of its choice.
    """

    score: float
    total: float
    joint: tuple[int, ...]

    def rank(self) -> tuple:
        """Smaller is better: the higher score, the smaller total, the earlier choices."""
        return -self.score, self.total, self.joint


class Best:
    """The best point within a budget.

    Args:
        budget: elements.
    """

    def __init__(self, budget: float) -> None:
        self.budget = budget
        self.point: Point | None = None

    def targets(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (score, total): a point is of use if it reaches a score within that total."""
        if self.point is None:
            return np.array([-np.inf]), np.array([self.budget])
        score = self.point.score
        return np.array([score + 1, score]), np.array([self.budget, self.point.total])

    def useful(self, scores: np.ndarray, totals: np.ndarray) -> np.ndarray:
        """Which of many points, given by score and total, may be better."""
        need, limit = self.targets()
        of_use = (scores[:, None] >= need) & (totals[:, None] <= limit)
        return cast(np.ndarray, of_use.any(axis=1))

    def offer(self, point: Point) -> None:
        """Keeps a point if it is better."""
        if point.total <= self.budget:
            if self.point is None or point.rank() < self.point.rank():
                self.point = point


class Front:
    """The points that no other one is at least as good as in score and total.

    Args:
        points: points that are known; one of the smallest total has to be among them.
        low, high: the window of totals in which new points are sought.
    """

    def __init__(self, points: list[Point], low: float, high: float) -> None:
        self.points: list[Point] = []
        self.low, self.high = low, high
        self._targets: tuple[np.ndarray, np.ndarray] | None = None
        for point in points:
            self.offer(point)

    def targets(self) -> tuple[np.ndarray, np.ndarray]:
        """As ``Best.targets``: between two points, and equal to one with earlier choices."""
        if self._targets is None:
            scores = np.array([point.score for point in self.points])
            totals = np.array([point.total for point in self.points])
            before_next = np.minimum(np.append(totals[1:] - 1, self.high), self.high)
            within = (totals <= self.high) & (before_next >= self.low)
            need = np.concatenate((scores[within] + 1, scores[within]))
            self._targets = need, np.concatenate((before_next[within], totals[within]))
        return self._targets

    def useful(self, scores: np.ndarray, totals: np.ndarray) -> np.ndarray:
        """Which of many points, given by score and total, may be part of the front."""
        known = np.array([(point.total, point.score) for point in self.points])
        before = np.searchsorted(known[:, 0], totals, side='right') - 1
        same = (known[before, 0] == totals) & (known[before, 1] == scores)
        return (before < 0) | (scores > known[before, 1]) | same

    def offer(self, point: Point) -> None:
        """Keeps a point that no other is as good as, and drops those that it is as good as."""
        place = bisect_right(self.points, point.total, key=lambda p: p.total)
        if place:
            before = self.points[place - 1]
            if before.score > point.score or before.rank() <= point.rank():
                return
            if before.total == point.total:
                place -= 1
        end = place
        while end < len(self.points) and self.points[end].score <= point.score:
            end += 1
        self.points[place:end] = [point]
        self._targets = None
