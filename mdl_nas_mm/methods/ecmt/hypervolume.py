"""How well a model is controlled: the volume of losses that it dominates (Zitzler and Thiele)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

# Of more objectives, inclusion and exclusion of few points is faster than a sweep.
_MANY_OBJECTIVES = 8
_FEW_POINTS = 24


def hypervolume(points: np.ndarray, reference: Sequence[float]) -> float:
    """The volume between points of losses and a reference point, exactly.

    Args:
        points: (n, tasks) losses, the lower the better.
        reference: the worst loss of each task; what a point is not below adds nothing.

    Raises:
        ValueError: they have different numbers of tasks, are not finite, or are too many: more
            than 24 points that do not dominate each other with more than 8 tasks.
        ModuleNotFoundError: moocore, which it needs for more points, is not installed.
    """
    points, worst = np.asarray(points, float), np.asarray(reference, float)
    if points.ndim != 2 or points.shape[1:] != worst.shape:
        raise ValueError(f'hypervolume: points {points.shape}, reference point {worst.shape}')
    if not (np.isfinite(points).all() and np.isfinite(worst).all()):
        raise ValueError('hypervolume: losses and reference point have to be finite')
    points = _front(points[(points < worst).all(1)])
    if len(points) <= _FEW_POINTS and (points.shape[1] > _MANY_OBJECTIVES or len(points) < 12):
        return _inclusion_exclusion(points, worst)
    if points.shape[1] > _MANY_OBJECTIVES:
        raise ValueError(
            f'hypervolume: {len(points)} points of {points.shape[1]} tasks, expected at most '
            f'{_FEW_POINTS} points, or {_MANY_OBJECTIVES} tasks'
        )
    try:
        import moocore
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "hypervolume: moocore is not installed; pip install 'mdl_nas_mm[control]'"
        ) from None
    return float(moocore.hypervolume(points, ref=worst))


def _front(points: np.ndarray) -> np.ndarray:
    """The points that no other one dominates, each once."""
    points = np.unique(points, axis=0)
    as_good = (points[:, None] <= points[None]).all(2)
    # As good as itself is each.
    return points[as_good.sum(0) == 1]


def _inclusion_exclusion(points: np.ndarray, worst: np.ndarray) -> float:
    """The volume of a union of boxes from those of all intersections.

    Terms have both signs, so they are multiplied in extended precision, and added without error.
    """
    half = len(points) // 2
    (first, signs), (second, others) = (_maxima(own) for own in (points[:half], points[half:]))
    terms: list[float] = []
    for number, (corner, sign) in enumerate(zip(first, signs)):
        # Of no point at all there is no box.
        own = slice(1 if number == 0 else 0, None)
        sides = (worst - np.maximum(corner, second[own])).astype(np.longdouble)
        volumes = sides.prod(1) * (-sign * others[own])
        high = volumes.astype(float)
        terms += high.tolist()
        terms += (volumes - high).astype(float).tolist()
    return math.fsum(terms)


def _maxima(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of every set of points the worst of each task (2^n, tasks), and 1 or -1 by its size."""
    corners, signs = np.full((1, points.shape[1]), -np.inf), np.ones(1)
    for point in points:
        corners = np.concatenate([corners, np.maximum(corners, point)])
        signs = np.concatenate([signs, -signs])
    return corners, signs
