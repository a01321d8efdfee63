"""Brings weights of other grids and windows to the size that a transformer has."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mdl_nas_mm.elastic.fitting import fit_weight, misfit_error

Grid = tuple[int, int]


def fit_layer(key: str, value: Tensor, size: Sequence[int], groups: int = 1) -> tuple[Tensor, str]:
    """See ``fit_weight``; patches have to be of the same size."""
    if key == 'patch_embed.proj.weight' and value.shape[1:] != tuple(size)[1:]:
        raise misfit_error(key, value, size, 'patch_size and in_channels have to be the same')
    return fit_weight(key, value, size, groups)


def fit_rows(
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


def square(key: str, value: Tensor, size: Sequence[int], places: int) -> Grid:
    side = math.isqrt(places)
    if side * side != places:
        raise misfit_error(key, value, size, f'{places} places are no square')
    return side, side
