"""Rectangles of tensors that a task's weights are assembled from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .regions import Region, UsedRows
from .segments import Block, Segments, uses

# Weights are moved as integers of their width: whatever the bits, they stay.
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True)
class StoredRectangle:
    """A rectangle of one run of a task's weight, as it lies in a tensor of the file.

    Attributes:
        tensor: name of the tensor.
        offset: of its first element in the tensor.
        height, width: rows and elements a row, as they lie in the tensor.
        taken: which of these rows are wanted; all without it.
        rows: where they go, among the groups * channels rows of the weight.
        start, end: the elements of these rows, counted from the first column of the run.
    """

    tensor: str
    offset: int
    height: int
    width: int
    taken: np.ndarray | None
    rows: np.ndarray | slice
    start: int
    end: int

    def values(self, tensor: np.ndarray) -> np.ndarray:
        """The elements that are wanted, (rows, columns), out of all of the tensor's."""
        end = self.offset + self.height * self.width
        block = tensor[self.offset : end].reshape(self.height, self.width)
        return (block if self.taken is None else block[self.taken])[:, : self.end - self.start]

    def put(self, weight: np.ndarray, read: Callable[[str], np.ndarray]) -> None:
        """See ``Piece``."""
        weight[self.rows, self.start : self.end] = self.values(read(self.tensor))


def in_segments(region: Region, part: UsedRows, segments: Segments) -> list[StoredRectangle]:
    """The rectangles of segments that a task uses of a weight that others may use too."""
    blocks = segments.blocks.get(part.run, ())
    return [_shared(region, part, block) for block in blocks if uses(region, part, block)]


def _shared(region: Region, part: UsedRows, block: Block) -> StoredRectangle:
    rows, taken, end = block.rows, None, min(block.end, part.use.columns)
    if region.label not in block.owners:
        chosen = part.rows[rows]
        if not chosen.all():
            rows, taken = rows[chosen], chosen
    return StoredRectangle(
        f'shared/{block.segment}',
        block.offset,
        len(block.rows),
        block.end - block.start,
        taken,
        as_slice(part.positions(rows)),
        block.start,
        end,
    )


def as_slice(rows: np.ndarray) -> np.ndarray | slice:
    """Rows that follow each other as a slice, which is copied in one go."""
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows


def as_integers(tensor: Tensor) -> np.ndarray:
    """The bits of a tensor on the CPU, flat."""
    return tensor.reshape(-1).view(_INTEGERS[tensor.dtype.itemsize]).numpy()


def from_integers(array: np.ndarray, dtype: torch.dtype) -> Tensor:
    """The tensor that has these bits; it shares their memory."""
    return torch.from_numpy(array).view(dtype)
