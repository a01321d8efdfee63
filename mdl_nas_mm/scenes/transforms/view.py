"""How the transforms of a pipeline moved the pixels of its labels.

Upstream's transforms do to every map of ``seg_fields`` what they do to the image, but know nothing
of what a map means. So a map of coordinates goes through them beside the labels: what became of it
says whether the image was flipped, cut, turned or painted over, however many transforms did it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..labels import EDGES, POINT, SALIENCY, SEGMENTATION, LabelKind

VIEW = 'scene_view'
# What upstream fills with, 255, is no label of these; a flip changes nothing in them.
_NEED_NONE = (SEGMENTATION, EDGES, SALIENCY, POINT)


class TransformedView(NamedTuple):
    """What the transforms did to the image that was loaded.

    Attributes:
        flipped_x: whether left and right have changed places.
        flipped_y: whether top and bottom have.
        is_whole: whether all of the image is there, however large.
    """

    flipped_x: bool
    flipped_y: bool
    is_whole: bool


def add_view(results: dict, kind: LabelKind) -> None:
    """Adds the map of coordinates, if such a label needs one and none is there."""
    if kind in _NEED_NONE or VIEW in results:
        return
    height, width = results['ori_shape'][:2]
    view = np.empty((height, width, 2), dtype=np.uint16)
    view[..., 0] = np.arange(width)
    view[..., 1] = np.arange(height)[:, None]
    results[VIEW] = view
    results.setdefault('seg_fields', []).append(VIEW)


def read_view(view: np.ndarray, size: tuple[int, int]) -> TransformedView | None:
    """What the map of coordinates says.

    Args:
        view: (H, W, 2), what the transforms made of it.
        size: (height, width) of the image that was loaded.

    Returns:
        None where pixels were turned, mixed or painted over, which is no view of the image.
    """
    columns, rows = view[0, :, 0].astype(int), view[:, 0, 1].astype(int)
    if np.any(view[..., 0] != columns) or np.any(view[..., 1] != rows[:, None]):
        return None
    height, width = size
    x, y = _direction(columns), _direction(rows)
    if x is None or y is None:
        return None
    is_whole = _covers(columns, width) and _covers(rows, height)
    return TransformedView(x < 0, y < 0, is_whole)


def _direction(places: np.ndarray) -> int | None:
    """1 or -1 for places in rising or falling order, None for any other."""
    steps = np.diff(places)
    if (steps >= 0).all():
        return 1
    return -1 if (steps <= 0).all() else None


def _covers(places: np.ndarray, length: int) -> bool:
    """Whether places reach from one end of the image to the other, but for rounding."""
    step = length / len(places) + 1
    return places.min() < step and places.max() >= length - step
