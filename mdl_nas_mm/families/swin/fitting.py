"""Brings a published Swin's weights to the size that a backbone has."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor

from ..transformer.fitting import fit_layer, fit_rows, square
from .shape import SwinShape


def fit(
    key: str, value: Tensor, target: Tensor, groups: int, source: Collection[str], shape: SwinShape
) -> tuple[Tensor, str]:
    """See ``Fit``: tables of another window are interpolated, all else is cut."""
    if key.endswith('.relative_position_bias_table'):
        return fit_bias_table(key, value, target)
    return fit_layer(key, value, target.shape, groups)


def fit_bias_table(key: str, value: Tensor, target: Tensor) -> tuple[Tensor, str]:
    """Swin's table of biases ((2 * window - 1)^2, heads) for another window."""
    grids = [square(key, value, target.shape, len(table)) for table in (value, target)]
    return fit_rows(key, value, target, (False, False), grids)
