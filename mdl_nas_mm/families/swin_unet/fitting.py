"""Brings a published Swin's weights to the size that the encoder of a tree of cells has."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import Tensor

from mdl_nas_mm.elastic.fitting import fit_weight, misfit_error

from ..swin.window_tables import ring_order
from ..transformer.fitting import fit_layer
from .key_styles import RINGS
from .shape import SwinUNetShape


def fit(
    key: str,
    value: Tensor,
    target: Tensor,
    groups: int,
    source: Collection[str],
    shape: SwinUNetShape,
) -> tuple[Tensor, str]:
    """See ``Fit``: tables of another window keep their middle, all else is cut."""
    if key.endswith(RINGS):
        return fit_rings(key, value, target)
    return fit_layer(key, value, target.shape, groups)


def fit_rings(key: str, value: Tensor, target: Tensor) -> tuple[Tensor, str]:
    """A table of biases ((2 * window - 1)^2, heads), by rings, for another window.

    A window of the published side computes what it did. Farther offsets begin with the bias of the
    nearest that there is.
    """
    sides = [math.isqrt(len(table)) for table in (value, target)]
    if any(side % 2 == 0 or side**2 != len(t) for side, t in zip(sides, (value, target))):
        raise misfit_error(key, value, target.shape, 'the rows are not those of a window')
    value, how = fit_weight(key, value, (len(value), target.shape[1]))
    if sides[0] >= sides[1]:
        return value[: len(target)], how if sides[0] == sides[1] else 'cut'
    small, large = ((side - 1) // 2 for side in sides)
    places = torch.arange(-large, large + 1).clamp(-small, small) + small
    nearest = (places[:, None] * sides[0] + places[None, :]).flatten()
    rank = ring_order(small + 1, value.device).argsort()
    order = ring_order(large + 1, value.device)
    return value[rank[nearest.to(value.device)[order]]], 'resized'
