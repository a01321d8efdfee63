"""Brings a weight of another model to the size that a backbone has."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def fit_weight(key: str, value: Tensor, size: Sequence[int], groups: int = 1) -> tuple[Tensor, str]:
    """Cuts a weight to its first rows and columns.

    Args:
        key: what errors call it.
        value: the weight, of the shape that it has in the checkpoint.
        size: the shape to bring it to.
        groups: its rows are this many groups, each cut by itself (q, k and v).

    Returns:
        The weight, and ``'taken'`` or ``'cut'``.

    Raises:
        ValueError: it is smaller than ``size``.
    """
    size = tuple(size)
    if value.shape == size:
        return value, 'taken'
    if value.dim() != len(size) or any(have < want for have, want in zip(value.shape, size)):
        raise misfit_error(key, value, size, 'a weight can be cut but not widened')
    if value.shape[0] % groups:
        raise misfit_error(key, value, size, 'its rows are not as many of q as of k and v')
    rows = value.unflatten(0, (groups, -1))[:, : size[0] // groups].flatten(0, 1)
    return rows[tuple(slice(end) for end in size)], 'cut'


def misfit_error(key: str, value: Tensor, size: Sequence[int], why: str) -> ValueError:
    """Says that a weight does not fit, and why."""
    sizes = f'{tuple(value.shape)} there, {tuple(size)} here'
    return ValueError(f'checkpoint does not fit: {key!r} is {sizes}; {why}')
