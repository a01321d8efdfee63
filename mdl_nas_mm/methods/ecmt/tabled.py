"""A cost of architectures as tables, so that many are counted in one array operation.

Multiply-adds and parameters of a network of convolutions are sums of terms with at most two widths:
inputs times outputs. So a cost is its value at the smallest architecture, what each choice adds to
it, and what two choices add together, which is all found by asking for a few hundred of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

_CHECKED = 32
_TOLERANCE = 1e-6


class TabledCost:
    """The same as a cost, for rows of places; see ``JointColumns``.

    Args:
        cost: row -> what it costs.
        choices: how many choices there are in each column.
        seed: of the rows that are compared in the end.

    Attributes:
        is_exact: whether the tables gave the same as the cost; else it is asked for each new row.
    """

    def __init__(
        self, cost: Callable[[np.ndarray], float], choices: Sequence[int], seed: int = 0
    ) -> None:
        self._cost, self._choices = cost, np.asarray(choices, np.int64)
        self._known: dict[bytes, float] = {}
        self.smallest = self._asked(np.zeros(len(self._choices), np.int64))
        self._single = [self._line(number) for number in range(len(self._choices))]
        pairs = [pair for pair in combinations(range(len(self._choices)), 2) if self._meet(*pair)]
        self._first = np.array([a for a, _ in pairs], np.int64)
        self._second = np.array([b for _, b in pairs], np.int64)
        tables = [self._table(*pair) for pair in pairs]
        self._double = np.concatenate([t.ravel() for t in tables]) if tables else np.zeros(0)
        self._flat = np.concatenate(self._single) if self._single else np.zeros(0)
        self._starts = np.cumsum([0, *map(len, self._single)])[:-1]
        self._offsets = np.cumsum([0, *(table.size for table in tables)])[:-1]
        self._strides = self._choices[self._second] if pairs else np.zeros(0, np.int64)
        self.is_exact = self._compare(seed)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """(n,) costs of (n, columns) places."""
        if not self.is_exact:
            return np.array([self._asked(row) for row in rows])
        return self._summed(rows)

    def _summed(self, rows: np.ndarray) -> np.ndarray:
        total = self.smallest + self._flat[self._starts + rows].sum(1)
        if len(self._first):
            at = self._offsets + rows[:, self._first] * self._strides + rows[:, self._second]
            total += self._double[at].sum(1)
        return total

    def _asked(self, row: np.ndarray) -> float:
        key = row.tobytes()
        if key not in self._known:
            self._known[key] = float(self._cost(row))
        return self._known[key]

    def _with(self, *places: tuple[int, int]) -> float:
        """The smallest architecture with some other choices."""
        row = np.zeros(len(self._choices), np.int64)
        for number, place in places:
            row[number] = place
        return self._asked(row)

    def _line(self, number: int) -> np.ndarray:
        """What each choice of a column adds to the smallest."""
        return np.array(
            [self._with((number, p)) - self.smallest for p in range(self._choices[number])]
        )

    def _meet(self, a: int, b: int) -> bool:
        """Whether two choices cost something together."""
        ends = (a, self._choices[a] - 1), (b, self._choices[b] - 1)
        apart = self.smallest + self._single[a][-1] + self._single[b][-1]
        return abs(self._with(*ends) - apart) > 1e-9 * max(abs(apart), 1)

    def _table(self, a: int, b: int) -> np.ndarray:
        """(choices of a, choices of b): what these add beside what each adds."""
        return np.array(
            [
                [
                    self._with((a, x), (b, y)) - self.smallest - own - other
                    for y, other in enumerate(self._single[b])
                ]
                for x, own in enumerate(self._single[a])
            ]
        )

    def _compare(self, seed: int) -> bool:
        """Whether random rows cost the same by both."""
        rng = np.random.default_rng(seed)
        rows = rng.integers(0, self._choices, (_CHECKED, len(self._choices)))
        expected = np.array([self._cost(row) for row in rows])
        return np.allclose(self._summed(rows), expected, rtol=_TOLERANCE, atol=0)
