"""From which pieces of which tensors a task's weights are put together, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .segments import Block, Part, Region, Segments, uses

# Weights are moved as integers of their width: whatever the bits, they stay.
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True)
class Piece:
    """A rectangle of a task's weight that lies in one piece in a tensor of the file.

    Attributes:
        tensor: name of the tensor.
        offset: of its first element in the tensor.
        height, width: rows and elements a row, as they lie in the tensor.
        taken: which of these rows are wanted; all without it.
        rows: where they go, among the groups * channels rows of the weight.
        start, end: the elements of these rows.
    """

    tensor: str
    offset: int
    height: int
    width: int
    taken: np.ndarray | None
    rows: np.ndarray | slice
    start: int
    end: int


def pieces_of(task: str, region: Region, segments: Segments) -> dict[str, list[Piece]]:
    """Parameter name -> the pieces that a task's weight is put together from.

    Shared ones come from the segments, those that the task owns from ``specific/<task>``.
    """
    offset, found = 0, {}
    for name, part in region.parts.items():
        blocks = segments.blocks.get(name, ())
        found[name] = [_shared(region, part, b) for b in blocks if uses(region, part, b)]
        own = np.flatnonzero(~part.shared.reshape(-1))
        if len(own):
            columns = part.use.columns
            args = (len(own), columns, None, _plain(own), 0, columns)
            found[name].append(Piece(f'specific/{task}', offset, *args))
            offset += len(own) * columns
    return found


def _shared(region: Region, part: Part, block: Block) -> Piece:
    rows, taken, end = block.rows, None, min(block.end, part.use.columns)
    if region.label not in block.labels:
        chosen = part.rows[rows]
        if not chosen.all():
            rows, taken = rows[chosen], chosen
    return Piece(
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


def put_together(weight: np.ndarray, pieces: list[Piece], read: Callable) -> None:
    """Copies pieces into a weight (rows, columns) of integers.

    Args:
        read: name of a tensor -> its elements, as integers of the same width.
    """
    for piece in pieces:
        end = piece.offset + piece.height * piece.width
        block = read(piece.tensor)[piece.offset : end].reshape(piece.height, piece.width)
        if piece.taken is not None:
            block = block[piece.taken]
        weight[piece.rows, piece.start : piece.end] = block[:, : piece.end - piece.start]


def as_integers(tensor: Tensor) -> np.ndarray:
    """The bits of a tensor on the CPU, flat."""
    return tensor.reshape(-1).view(_INTEGERS[tensor.dtype.itemsize]).numpy()


def from_integers(array: np.ndarray, dtype: torch.dtype) -> Tensor:
    """The tensor that has these bits; it shares their memory."""
    return torch.from_numpy(array).view(dtype)
