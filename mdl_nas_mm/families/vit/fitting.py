"""Brings a published ViT's weights to the size that a backbone has."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor

from mdl_nas_mm.elastic.fitting import misfit_error

from ..transformer.fitting import Grid, fit_layer, fit_rows, square
from .shape import ViTShape


def fit(
    key: str, value: Tensor, target: Tensor, groups: int, source: Collection[str], shape: ViTShape
) -> tuple[Tensor, str]:
    """See ``Fit``: positions of another grid are interpolated, all else is cut."""
    if key == 'pos_embed':
        tokens = ('cls_token' in source, shape.class_token)
        return fit_positions(key, value, target, tokens, shape.grid)
    if '.embeddings_table_' in key:
        return fit_distance_table(key, value, target)
    return fit_layer(key, value, target.shape, groups)


def fit_positions(
    key: str, value: Tensor, target: Tensor, class_tokens: tuple[bool, bool], grid: Grid
) -> tuple[Tensor, str]:
    """Position embedding (1, tokens, C) for another grid, with or without a class token.

    Args:
        key: what errors call it.
        value: the embedding of the other model.
        target: that of the backbone, as initialised.
        class_tokens: whether the other model and whether the backbone have one. Its row is kept;
            where only the backbone has one, it stays as initialised.
        grid: (height, width) of the backbone in patches.

    Returns:
        The embedding, and ``'taken'``, ``'cut'`` or ``'resized'``.
    """
    patches = value.shape[1] - class_tokens[0]
    source = grid if patches == grid[0] * grid[1] else square(key, value, target.shape, patches)
    rows, how = fit_rows(key, value[0], target[0], class_tokens, (source, grid))
    return rows[None], how


def fit_distance_table(key: str, value: Tensor, target: Tensor) -> tuple[Tensor, str]:
    """AutoFormer's table of distances along one axis, whose row 0 is the class token's."""
    if value.shape[1] != target.shape[1]:
        raise misfit_error(key, value, target.shape, 'head_dim has to be the same')
    grids = [(len(table) - 1, 1) for table in (value, target)]
    return fit_rows(key, value, target, (True, True), grids)
