"""What differs from another task's weights: ``difference/<task>/gaps`` and ``.../values``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mdl_nas_mm.spec.layout import Run

from ..rectangles import as_integers, from_integers
from ..regions import UsedRows
from .base import Contents, NewTasks, Stored, TaskSpecificKind, check_form

# A gap of so many elements without a difference has none behind it.
_LONG = 255


@dataclass(frozen=True)
class SparseDifference(TaskSpecificKind):
    """The own elements that are others than those of a base task of the same architecture.

    Places are counted over all own elements, in the layout's order, and stored as the gaps
    between them, a byte each; so none can come twice. Values are the task's own, not the sums'
    terms: base + (weight - base) is the weight up to rounding alone, and a task that is taken out
    has the bits that were trained.

    Attributes:
        base: the other task.
    """

    base: str = ''

    prefix = 'difference'

    @property
    def bases(self) -> tuple[str, ...]:
        """See ``TaskSpecificKind``."""
        return (self.base,)

    @property
    def names(self) -> tuple[str, str]:
        """Of the tensors: gaps and values."""
        return f'{self.key}/gaps', f'{self.key}/values'

    def tensors(self, new: NewTasks) -> dict[str, Tensor]:
        """See ``StoredKind``.

        Raises:
            ValueError: the base has weights of another size (names one).
        """
        ours, theirs = new.run_weights(self.task), new.run_weights(self.base)
        mine, base = [new.weights.empty(0)], [new.weights.empty(0)]
        for part in new.region(self.task).own:
            self.check_size(part, ours[part.use.run], theirs)
            rows = part.chosen.reshape(-1)
            for found, weights in ((mine, ours), (base, theirs)):
                found.append(_as_rows(weights[part.use.run])[rows].reshape(-1))
        values = np.concatenate(mine)
        places = np.flatnonzero(values != np.concatenate(base))
        gaps = torch.from_numpy(_gaps_between(places))
        return dict(zip(self.names, (gaps, from_integers(values[places], new.weights.dtype))))

    def elements(self, contents: Contents) -> int:
        """See ``TaskSpecificKind``."""
        entry = contents.entries.get(self.names[1])
        if entry is None:
            raise ValueError(f'{self.names[1]!r} is missing')
        return int(np.prod(entry.shape))

    def needed(self, contents: Contents) -> Iterable[str]:
        """See ``StoredKind``."""
        return self.names

    def check(self, name: str, entry: Stored, contents: Contents) -> None:
        """See ``StoredKind``."""
        whole, (gaps, values) = contents.region(self.task).own_size, self.names
        size = int(np.prod(entry.shape))
        if name == gaps:
            most = self.elements(contents) + whole // _LONG
            check_form(name, entry, min(size, most), torch.uint8)
        elif name == values:
            check_form(name, entry, min(size, whole), contents.dtype)
        else:
            super().check(name, entry, contents)

    def pieces(
        self, task: str, contents: Contents, weights_of: Callable[[str], Mapping[Run, Tensor]]
    ) -> dict[Run, list]:
        """The base's rows, with what differs put into them."""
        found: dict[Run, list[_DifferenceRun]] = {}
        if task == self.task:
            region, offset = contents.region(task), 0
            base, places = weights_of(self.base), _Places(self, region.own_size)
            for part in region.own:
                found[part.use.run] = [_DifferenceRun(self, part, base, offset, places)]
                offset += part.size
        return found

    def check_size(self, part: UsedRows, ours: Tensor, theirs: Mapping[Run, Tensor]) -> None:
        """Raises ValueError where the base has not such a weight, naming it."""
        run = part.use.run
        if run not in theirs or theirs[run].shape != ours.shape:
            raise ValueError(
                f'task {self.task!r}: {run[0]!r} is of another size in its base {self.base!r}; '
                'both have one architecture'
            )


class _Places:
    """Where the differences of a task are, worked out once for all of its weights."""

    def __init__(self, kind: SparseDifference, size: int) -> None:
        self._kind, self._size = kind, size
        self._found: np.ndarray | None = None

    def read(self, read: Callable[[str], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Ascending places, and values as integers."""
        gaps, values = map(read, self._kind.names)
        if self._found is None:
            self._found = _places_of(gaps.view(np.uint8))
            found = self._found
            if len(found) != len(values) or (len(found) and found[-1] >= self._size):
                raise ValueError(
                    f'{self._kind.names[0]!r} are not those of {len(values)} places among '
                    f'{self._size}'
                )
        return self._found, values


@dataclass(frozen=True)
class _DifferenceRun:
    """What one run of a weight is: a piece."""

    kind: SparseDifference
    part: UsedRows
    base: Mapping[Run, Tensor]
    offset: int
    places: _Places

    def put(self, weight: np.ndarray, read: Callable[[str], np.ndarray]) -> None:
        """See ``Piece``."""
        places, values = self.places.read(read)
        begin, end = np.searchsorted(places, [self.offset, self.offset + self.part.size])
        ours = torch.from_numpy(weight)
        self.kind.check_size(self.part, ours, self.base)
        rows = self.part.chosen.reshape(-1)
        merged = _as_rows(self.base[self.part.use.run])[rows]
        merged.reshape(-1)[places[begin:end] - self.offset] = values[begin:end]
        weight[rows] = merged


def _as_rows(weight: Tensor) -> np.ndarray:
    return as_integers(weight.contiguous()).reshape(weight.shape)


def _gaps_between(places: np.ndarray) -> np.ndarray:
    """Ascending places as bytes: how many elements lie before each since the last one.

    A byte of 255 stands for so many elements and no place; a place follows with the rest.
    """
    gaps = np.diff(places, prepend=-1) - 1
    long, rest = np.divmod(gaps, _LONG)
    encoded = np.full(int(long.sum()) + len(places), _LONG, np.uint8)
    encoded[np.cumsum(long + 1) - 1] = rest
    return encoded


def _places_of(gaps: np.ndarray) -> np.ndarray:
    """The places that ``_gaps_between`` has encoded."""
    is_place = gaps != _LONG
    return (np.cumsum(gaps.astype(np.int64) + is_place) - 1)[is_place]
