"""Parts of a weight as one view."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def rows(weight: Tensor, start: int, stop: int, sizes: Sequence[int]) -> Tensor:
    """Rows ``start`` to ``stop`` of each group, of each its first columns.

    One view, not a slice for each dimension: the gradient of every slice is a tensor of zeros
    as large as what it was taken from.

    Args:
        weight: (groups, max_channels) or (groups, max_channels, max_columns).
        start, stop: the first row, and the one behind the last.
        sizes: (channels,) or (channels, columns); the first is not used.
    """
    shape = (len(weight), stop - start, *sizes[1:])
    if shape == weight.shape:
        return weight
    offset = weight.storage_offset() + start * weight.stride(1)
    return weight.as_strided(shape, weight.stride(), offset)


def first_rows(weight: Tensor, sizes: Sequence[int]) -> Tensor:
    """The first rows of each group, of each its first columns."""
    return rows(weight, 0, sizes[0], sizes)
