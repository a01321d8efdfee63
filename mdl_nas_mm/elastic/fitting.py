"""Brings a weight of another model to the size that a backbone has."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Grid = tuple[int, int]


def fit_weight(key: str, value: Tensor, size: Sequence[int], groups: int = 1) -> tuple[Tensor, str]:
    """Cuts a weight to its first rows and columns.

    Args:
        key: what errors call it.
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
    if key == 'patch_embed.proj.weight' and value.shape[1:] != size[1:]:
        raise _misfit(key, value, size, 'patch_size and in_channels have to be the same')
    if value.dim() != len(size) or any(have < want for have, want in zip(value.shape, size)):
        raise _misfit(key, value, size, 'a weight can be cut but not widened')
    if value.shape[0] % groups:
        raise _misfit(key, value, size, 'its rows are not as many of q as of k and v')
    rows = value.unflatten(0, (groups, -1))[:, : size[0] // groups].flatten(0, 1)
    return rows[tuple(slice(end) for end in size)], 'cut'


def fit_positions(
    key: str, value: Tensor, target: Tensor, class_tokens: tuple[bool, bool], grid: Grid
) -> tuple[Tensor, str]:
    """Position embedding (1, tokens, C) for another grid, with or without a class token.

    Args:
        class_tokens: whether the other model and whether the backbone have one. Its row is kept;
            where only the backbone has one, it stays as initialised.
        grid: patches (down, across) of the backbone.

    Returns:
        The embedding, and ``'taken'``, ``'cut'`` or ``'resized'``.
    """
    patches = value.shape[1] - class_tokens[0]
    source = grid if patches == grid[0] * grid[1] else _square(key, value, target.shape, patches)
    rows, how = _fit_rows(key, value[0], target[0], class_tokens, (source, grid))
    return rows[None], how


def fit_bias_table(key: str, value: Tensor, target: Tensor) -> tuple[Tensor, str]:
    """Swin's table of biases ((2 * window - 1)^2, heads) for another window."""
    grids = [_square(key, value, target.shape, len(table)) for table in (value, target)]
    return _fit_rows(key, value, target, (False, False), grids)


def fit_distance_table(key: str, value: Tensor, target: Tensor) -> tuple[Tensor, str]:
    """AutoFormer's table of distances along one axis, whose row 0 is the class token's."""
    if value.shape[1] != target.shape[1]:
        raise _misfit(key, value, target.shape, 'head_dim has to be the same')
    grids = [(len(table) - 1, 1) for table in (value, target)]
    return _fit_rows(key, value, target, (True, True), grids)


def _fit_rows(
    key: str,
    value: Tensor,
    target: Tensor,
    class_rows: tuple[bool, bool],
    grids: Sequence[Grid],
) -> tuple[Tensor, str]:
    """Rows (places, C) of another grid, behind them perhaps one of the class token."""
    source, wanted = class_rows
    value, how = fit_weight(key, value, (len(value), target.shape[1]))
    if source == wanted and grids[0] == grids[1]:
        return value, how
    places, how = value[int(source) :].to(target), 'cut'
    if grids[0] != grids[1]:
        places, how = _interpolate(places, *grids), 'resized'
    row = (value.to(target) if source else target.detach())[: int(wanted)]
    return torch.cat((row, places)), how


def _interpolate(rows: Tensor, source: Grid, target: Grid) -> Tensor:
    """Bicubic, from (h * w, C) to (h' * w', C)."""
    image = rows.T.unflatten(1, source)[None]
    image = F.interpolate(image, target, mode='bicubic', align_corners=False)
    return image[0].flatten(1).T


def _square(key: str, value: Tensor, size: Sequence[int], places: int) -> Grid:
    side = math.isqrt(places)
    if side * side != places:
        raise _misfit(key, value, size, f'{places} places are no square')
    return side, side


def _misfit(key: str, value: Tensor, size: Sequence[int], why: str) -> ValueError:
    sizes = f'{tuple(value.shape)} there, {tuple(size)} here'
    return ValueError(f'checkpoint does not fit: {key!r} is {sizes}; {why}')
