"""A cost of architectures as tables, so that many are counted in one array operation.

What a network takes is a sum of terms with few choices each: the inputs and outputs of a
convolution, the widths that a block reads and writes. So a cost is its value at the largest
architecture, what each other choice changes, and what two or more choices change together beside
that. All of it is found once, by asking for some thousand architectures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations, product

import numpy as np

_CHECKED = 32
_TOLERANCE = 1e-6
# A bottleneck reads and writes four widths; a transformer's block has a depth above its sizes.
_ORDER = 4
_MOST_ASKED = 30_000

# Numbers of columns that cost something together.
Group = tuple[int, ...]


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
        self._choices, self._ask = np.asarray(choices, np.int64), cost
        self._largest = float(cost(self._choices - 1))
        whole = _whole(self._tables())
        self._flat = np.concatenate([np.zeros(1), *(table.ravel() for table in whole.values())])
        sizes = [table.size for table in whole.values()]
        self._offsets = np.cumsum([1, *sizes])[:-1]
        width = max(map(len, whole), default=1)
        # Groups of fewer columns are filled up with the first one, which is then not counted.
        self._columns, self._strides = np.zeros((2, len(whole), width), np.int64)
        for at, (group, table) in enumerate(whole.items()):
            self._columns[at, : len(group)] = group
            self._strides[at, : len(group)] = np.array(table.strides) // table.itemsize
        self.is_exact = self._compare(seed)
        asked = lru_cache(2**14)(lambda key: float(cost(np.frombuffer(key, np.int64))))
        self._asked: Callable[[bytes], float] = asked

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """(n,) costs of (n, columns) places."""
        if not self.is_exact:
            return np.array([self._asked(row.tobytes()) for row in rows])
        return self._summed(rows)

    def _summed(self, rows: np.ndarray) -> np.ndarray:
        at = self._offsets + (rows[:, self._columns] * self._strides).sum(2)
        return self._largest + self._flat[at].sum(1)

    def _tables(self) -> dict[Group, np.ndarray]:
        """Group -> (choices of each) what these change beside what fewer of them change.

        Only of groups all of whose parts change something, the rest has nothing to say. It ends
        early where there are too many; then the tables are not exact.
        """
        found: dict[Group, np.ndarray] = {}
        asked, columns = 0, range(len(self._choices))
        groups: list[Group] = [(number,) for number in columns]
        for _ in range(_ORDER):
            new: list[Group] = []
            for group in groups:
                lowest = (0,) * len(group)
                if abs(self._beside(found, group, lowest)) <= 1e-9 * max(abs(self._largest), 1e-9):
                    continue
                sizes = [int(self._choices[number]) for number in group]
                asked += int(np.prod(sizes))
                if asked > _MOST_ASKED:
                    return found
                table = np.zeros(sizes)
                # Where one of them is at its largest, fewer have said it all.
                for places in product(*(range(size - 1) for size in sizes)):
                    table[places] = self._beside(found, group, places)
                found[group] = table
                new.append(group)
            groups = list(_larger(new))
        return found

    def _beside(self, found: dict[Group, np.ndarray], group: Group, places: Group) -> float:
        """What some choices change together, with the largest of all other columns."""
        row = self._choices - 1
        row[list(group)] = places
        total = float(self._ask(row)) - self._largest
        for size in range(1, len(group)):
            for part in combinations(range(len(group)), size):
                table = found.get(tuple(group[i] for i in part))
                if table is not None:
                    total -= table[tuple(places[i] for i in part)]
        return total

    def _compare(self, seed: int) -> bool:
        """Whether random rows cost the same by both."""
        rng = np.random.default_rng(seed)
        rows = rng.integers(0, self._choices, (_CHECKED, len(self._choices)))
        expected = np.array([self._ask(row) for row in rows])
        return np.allclose(self._summed(rows), expected, rtol=_TOLERANCE, atol=0)


def _larger(groups: Sequence[Group]) -> Iterator[Group]:
    """The groups of one more column, all of whose parts are among these."""
    known = set(groups)
    for i, first in enumerate(groups):
        for second in groups[i + 1 :]:
            if first[:-1] == second[:-1]:
                joined = (*first, second[-1])
                if all(part in known for part in combinations(joined, len(first))):
                    yield joined


def _whole(tables: dict[Group, np.ndarray]) -> dict[Group, np.ndarray]:
    """The same sum with fewer tables: what is said of a part is added to one that has it all."""
    found: dict[Group, np.ndarray] = {}
    for group, table in sorted(tables.items(), key=lambda item: -len(item[0])):
        around = next((other for other in found if set(group) <= set(other)), None)
        if around is None:
            found[group] = table.copy()
        else:
            shape = [size if n in group else 1 for n, size in zip(around, found[around].shape)]
            found[around] += table.reshape(shape)
    return found
