"""How long a part takes on this machine, by the number of its rows: measured, not counted."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .execution import Done, Source, whole
from .parts import Part
from .state import Pair

# (part, inputs (R, C), rows to compute (R,), source) -> the part, brought up to date.
Update = Callable[[Part, Tensor, Tensor, Source], Done]
# Of a measurement, after one that warms up; and the parts of the rows that it is done with.
ROUNDS = 5
FEW, MANY = 0.125, 0.5


@dataclass(frozen=True)
class RowTimes:
    """Seconds of one part.

    Attributes:
        whole: of all rows, from no source.
        fixed: kind of a source -> of an update of no row; from the base there is a copy in it.
        row: kind of a source -> of each row more.
    """

    whole: float
    fixed: Mapping[str, float]
    row: Mapping[str, float]

    def update(self, rows: int, kind: str) -> float:
        """Seconds of an update of so many rows from a source."""
        return self.fixed[kind] + rows * self.row[kind]


class Times:
    """Times of parts, each shape measured when it is asked for first.

    Args:
        update: how parts are brought up to date.
    """

    def __init__(self, update: Update) -> None:
        self._update = update
        self._known: dict[tuple, RowTimes] = {}

    def of(self, part: Part, pair: Pair) -> RowTimes:
        """Those of a part, given what it has computed of as many rows."""
        shape = (len(pair.inputs), *(tuple(layer.weight.shape) for layer in part.layers))
        if shape not in self._known:
            self._known[shape] = self._measured(part, pair.copy())
        return self._known[shape]

    def _measured(self, part: Part, pair: Pair) -> RowTimes:
        inputs, rows = pair.inputs.clone(), len(pair.inputs)
        few, many = (max(1, round(share * rows)) for share in (FEW, MANY))

        def seconds(kind: str, count: int) -> float:
            mask = torch.zeros(rows, dtype=torch.bool, device=inputs.device)
            mask[torch.linspace(0, rows - 1, count).long()] = True
            source = Source(kind, {part.name: pair})
            return _median(lambda: self._update(part, inputs, mask, source), inputs)

        fixed, row = {}, {}
        for kind in ('base', 'frame'):
            low, high = seconds(kind, few), seconds(kind, many)
            row[kind] = max(0.0, (high - low) / max(1, many - few))
            fixed[kind] = max(0.0, low - few * row[kind])
        return RowTimes(_median(lambda: whole(part, inputs), inputs), fixed, row)


def _median(run: Callable[[], object], like: Tensor) -> float:
    def seconds() -> float:
        start = time.perf_counter()
        run()
        if like.is_cuda:
            torch.cuda.synchronize(like.device)
        return time.perf_counter() - start

    _, *found = [seconds() for _ in range(ROUNDS + 1)]
    return statistics.median(found)
