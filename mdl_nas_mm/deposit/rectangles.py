"""From which rectangles of which tensors a task's weights are assembled, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mdl_nas_mm.spec.layout import Run

from .segments import Block, Region, Segments, UsedRows, uses

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


def rectangles_of(
    task: str, region: Region, segments: Segments
) -> dict[Run, list[StoredRectangle]]:
    """Run of a parameter -> the rectangles that a task's weight is assembled from.

    Shared ones come from the segments, those that the task owns from ``specific/<task>``.
    """
    offset, found = 0, {}
    for run, part in region.parts.items():
        blocks = segments.blocks.get(run, ())
        found[run] = [_shared(region, part, b) for b in blocks if uses(region, part, b)]
        own = np.flatnonzero(~part.shared.reshape(-1))
        if len(own):
            columns = part.use.columns
            args = (len(own), columns, None, _plain(own), 0, columns)
            found[run].append(StoredRectangle(f'specific/{task}', offset, *args))
            offset += len(own) * columns
    return found


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
        _plain(part.positions(rows)),
        block.start,
        end,
    )


def _plain(rows: np.ndarray) -> np.ndarray | slice:
    """Rows that follow each other as a slice, which is copied in one go."""
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows


def assemble(weight: np.ndarray, rectangles: list[StoredRectangle], read: Callable) -> None:
    """Copies rectangles into one run of a weight, (rows, columns) of integers.

    Args:
        read: name of a tensor -> its elements, as integers of the same width.
    """
    for each in rectangles:
        end = each.offset + each.height * each.width
        block = read(each.tensor)[each.offset : end].reshape(each.height, each.width)
        if each.taken is not None:
            block = block[each.taken]
        weight[each.rows, each.start : each.end] = block[:, : each.end - each.start]


def as_integers(tensor: Tensor) -> np.ndarray:
    """The bits of a tensor on the CPU, flat."""
    return tensor.reshape(-1).view(_INTEGERS[tensor.dtype.itemsize]).numpy()


def from_integers(array: np.ndarray, dtype: torch.dtype) -> Tensor:
    """The tensor that has these bits; it shares their memory."""
    return torch.from_numpy(array).view(dtype)
