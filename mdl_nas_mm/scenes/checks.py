"""Whether a label is what its data set says that it is."""

from __future__ import annotations

import numpy as np

from .labels import (
    DEPTH,
    DISPARITY,
    EDGES,
    NORMALS,
    REGRESSION,
    SALIENCY,
    SEGMENTATION,
    kind_named,
)

# Medians of real data in metres lie between these, from desks to streets.
_NEAREST, _FARTHEST = 0.05, 150.0
# Pixels, of the median of a disparity.
_WIDEST = 2048


def label_error(name: str, label: np.ndarray, num_classes: int | None = None) -> str | None:
    """What is wrong with a label, in a few words.

    Args:
        name: of the label, such as ``depth``.
        label: as ``read_label`` gives it.
        num_classes: of a segmentation.

    Returns:
        None where nothing is.
    """
    kind = kind_named(name)
    if not kind.is_map:
        return None if np.isfinite(label).all() else 'has numbers that are none'
    values = label[kind.valid(label)]
    if not len(values):
        return None
    if kind is SEGMENTATION:
        largest = int(values.max())
        beyond = num_classes is not None and largest >= num_classes
        return f'has a class {largest}, beyond the {num_classes} of the data' if beyond else None
    if kind is DEPTH:
        return _odd_depth(values)
    if kind is NORMALS:
        return _odd_normals(values)
    if kind is DISPARITY:
        return _odd_disparity(values)
    if kind in (EDGES, SALIENCY) and not (values.min() >= 0 and values.max() <= 1):
        return (
            f'has values from {values.min():g} to {values.max():g}, beyond 0 to 1; '
            'is the encoding another one?'
        )
    if kind is EDGES and values.mean() > 0.5:
        return f'has edges on {values.mean():.0%} of the pixels; are 0 and 1 the other way round?'
    if kind is REGRESSION and np.isinf(values).any():
        return 'has infinite values; say which one is none (invalid=...)'
    return None


def emptiness(name: str, label: np.ndarray) -> str | None:
    """What a label lacks of which nothing can be learned, in a few words.

    Args:
        name: of the label.
        label: as ``read_label`` gives it.

    Returns:
        None where it lacks nothing.
    """
    kind = kind_named(name)
    if kind in (EDGES, SALIENCY) and not (label == 1).any():
        return 'has no pixel that is 1'
    if kind.is_map and not kind.valid(label).any():
        return 'has no pixel with a label'
    return None


def _odd_disparity(values: np.ndarray) -> str | None:
    if not np.isfinite(values).all() or values.min() < 0:
        return f'has disparities such as {values.min():g}; they are finite and none is below 0'
    # In pixels it is no wider than an image; the values of a 16-bit file are far beyond.
    middle = float(np.median(values))
    if middle > _WIDEST:
        return (
            f'has a median disparity of {middle:g}, more than images are wide; is it encoded, as '
            "Cityscapes' is?"
        )
    return None


def _odd_depth(values: np.ndarray) -> str | None:
    if not values.min() >= 0:
        return f'has depths below 0, such as {values.min():g} m'
    middle = float(np.median(values))
    if middle > _FARTHEST:
        return (
            f'has a median depth of {middle:g} m, which looks like millimetres or another unit; '
            "SceneFolders is told which one (unit='mm')"
        )
    if middle < _NEAREST:
        return (
            f'has a median depth of {middle:g} m, which is too small; SceneFolders is told its '
            'unit (unit=...)'
        )
    return None


def _odd_normals(values: np.ndarray) -> str | None:
    length = float(np.median(np.linalg.norm(values, axis=-1)))
    if abs(length - 1) > 0.1:
        return (
            f'has normals of length {length:.2f} (median), no unit vectors; '
            'is the encoding another one?'
        )
    return None
