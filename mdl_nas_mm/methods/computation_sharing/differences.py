"""What a sub-task's weights have beside those of its base: sparse differences, as values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

INDEX_BYTES = 4


@dataclass(frozen=True, eq=False)
class SparseWeight:
    """The elements of a weight's difference that are stored; all others are zero.

    Attributes:
        shape: of the weight, rows (output channels) first.
        indices: int64 (n,), places in the flattened weight, ascending.
        values: (n,).
    """

    shape: tuple[int, ...]
    indices: Tensor
    values: Tensor

    def __post_init__(self) -> None:
        if self.indices.shape != self.values.shape or self.indices.dim() != 1:
            shapes = f'{tuple(self.indices.shape)} and {tuple(self.values.shape)}'
            raise ValueError(f'indices and values are {shapes}, expected two lists of one length')
        check_places(self.indices, self.size)

    @property
    def size(self) -> int:
        """Elements of the weight."""
        return math.prod(self.shape)

    @property
    def density(self) -> float:
        """The stored part of all elements."""
        return len(self.indices) / self.size

    @property
    def rows(self) -> Tensor:
        """Boolean (rows,): output channels that have any element."""
        found = torch.zeros(self.shape[0], dtype=torch.bool, device=self.indices.device)
        found[self.indices // (self.size // self.shape[0])] = True
        return found

    @property
    def is_zero(self) -> bool:
        """Whether it is a layer without any difference."""
        return not len(self.indices)

    def dense(self) -> Tensor:
        """The whole difference, of the weight's shape."""
        whole = self.values.new_zeros(self.size)
        whole[self.indices] = self.values
        return whole.view(self.shape)

    def csr_bytes(self) -> int:
        """Bytes as compressed sparse rows: values, a column for each, and where rows begin.

        A weight of one dimension is one row. Columns and beginnings take four bytes each.
        """
        rows = self.shape[0] if len(self.shape) > 1 else 1
        element = self.values.element_size() + INDEX_BYTES
        return len(self.values) * element + (rows + 1) * INDEX_BYTES


@dataclass(frozen=True, eq=False)
class Difference:
    """A sub-task's weights as differences from those of its base.

    Attributes:
        weights: name of a parameter of the backbone -> its difference. What is not named is the
            base's.
    """

    weights: Mapping[str, SparseWeight]

    @property
    def elements(self) -> int:
        """Stored elements."""
        return sum(len(each.values) for each in self.weights.values())

    @property
    def density(self) -> float:
        """The stored part of all elements of the named weights."""
        size = sum(each.size for each in self.weights.values())
        return self.elements / size if size else 0.0

    @property
    def densities(self) -> dict[str, float]:
        """Name -> density of its difference."""
        return {name: each.density for name, each in self.weights.items()}

    @property
    def zero_layers(self) -> list[str]:
        """The named weights that are the base's own."""
        return [name for name, each in self.weights.items() if each.is_zero]

    def csr_bytes(self) -> int:
        """Bytes of all as compressed sparse rows, the memory that the paper's Table 2 means."""
        return sum(each.csr_bytes() for each in self.weights.values())


def check_places(indices: Tensor, size: int) -> None:
    """Raises ValueError unless indices are ascending, without duplicates, from 0 to ``size``."""
    if not len(indices):
        return
    if int(indices[0]) < 0 or int(indices[-1]) >= size or bool((indices.diff() < 1).any()):
        raise ValueError(f'indices are no ascending numbers from 0 to {size - 1}')


def difference_between(
    base: Mapping[str, Tensor], ours: Mapping[str, Tensor], names: Iterable[str]
) -> Difference:
    """The difference of weights, where they differ.

    Args:
        base: state dict of the base's backbone.
        ours: that of the sub-task.
        names: the parameters to compare.

    Returns:
        Differences such that ``merge`` gives the sub-task's weights, up to the rounding of one
        subtraction and one addition.

    Raises:
        ValueError: a weight is missing in one of them, or has two sizes (names it).
    """
    found = {}
    for name in names:
        theirs, own = _of_base(base, name, _named(ours, name).shape), ours[name]
        difference = (own.detach() - theirs.detach()).flatten()
        indices = difference.nonzero()[:, 0]
        found[name] = SparseWeight(tuple(own.shape), indices, difference[indices])
    return Difference(found)


def merge(base: Mapping[str, Tensor], difference: Difference) -> dict[str, Tensor]:
    """The sub-task's weights (Section 3.2), under the names of the base's state dict.

    Tensors without a difference are the base's own, not copies.

    Raises:
        ValueError: the base is of another architecture (names the weight).
    """
    merged = dict(base)
    for name, each in difference.weights.items():
        whole = _of_base(base, name, each.shape)
        if each.is_zero:
            continue
        whole = whole.detach().clone(memory_format=torch.contiguous_format)
        flat, device = whole.view(-1), whole.device
        flat[each.indices.to(device)] += each.values.detach().to(device, whole.dtype)
        merged[name] = whole
    return merged


def _named(state: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in state:
        raise ValueError(f'there is no weight {name!r}; base and sub-task are one architecture')
    return state[name]


def _of_base(base: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    theirs = _named(base, name)
    if tuple(theirs.shape) != tuple(shape):
        raise ValueError(
            f'{name!r} is {tuple(theirs.shape)} in the base and {tuple(shape)} in the sub-task; '
            'they are of one architecture'
        )
    return theirs
