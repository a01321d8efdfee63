"""Rays and what they meet.

Points and directions are (3, N): x, y and z in rows, which numpy is fastest with.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .scene import Ball, Box, Camera, Solid


class Hits(NamedTuple):
    """What N rays meet first.

    Attributes:
        distance: (N,) in lengths of the ray's direction.
        solid: (N,) position in the scene's solids.
    """

    distance: np.ndarray
    solid: np.ndarray


def rays(camera: Camera) -> np.ndarray:
    """Directions in the camera's axes, one a pixel, as long as their z is 1: (3, H * W)."""
    x = (np.arange(camera.width) + 0.5 - camera.centre[0]) / camera.focal
    y = (np.arange(camera.height) + 0.5 - camera.centre[1]) / camera.focal
    columns, rows = np.meshgrid(x, y)
    return np.stack((columns.ravel(), rows.ravel(), np.ones(rows.size)))


def trace(solids: tuple[Solid, ...], origin: np.ndarray, directions: np.ndarray) -> Hits:
    """Follows rays from one point.

    Args:
        solids: what there is; the first is the room, which every ray meets.
        origin: (3,) in the world.
        directions: (3, N) in the world.
    """
    count = directions.shape[1]
    hits = Hits(distance_to(solids[0], origin, directions), np.zeros(count, np.intp))
    square = _dot(directions, directions)
    for number, solid in enumerate(solids[1:], 1):
        near = _may_meet(solid, origin, directions, square)
        distance = distance_to(solid, origin, directions[:, near])
        nearer = distance < hits.distance[near]
        hits.distance[near[nearer]] = distance[nearer]
        hits.solid[near[nearer]] = number
    return hits


def distance_to(solid: Solid, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """How far rays go until they meet one solid, (N,); inf where they do not.

    In lengths of the directions. The room is met from inside, everything else from outside.
    """
    if isinstance(solid, Ball):
        return _distance_to_ball(solid, origin, directions)
    axes, half = np.array(solid.axes), np.array(solid.half)[:, None]
    start = (axes @ (origin - solid.centre))[:, None]
    with np.errstate(divide='ignore', invalid='ignore'):
        inverse = 1 / (axes @ directions)
        middle, reach = -start * inverse, half * np.abs(inverse)
        leaves = (middle + reach).min(axis=0)
        if solid.kind == 'room':
            return leaves
        enters = (middle - reach).max(axis=0)
    return np.where((enters <= leaves) & (enters > 0), enters, np.inf)


def surface(solid: Solid, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What there is at points on a solid's surface.

    Args:
        solid: a box, a ball or the room.
        points: (3, N) in the world.

    Returns:
        Outward normals (3, N) in the world (inward ones of the room); the number of the face (N,),
        see ``Faces``, 0 of a ball; places (2, N) on the face or ball, in [0, 1].
    """
    axes = np.array(solid.axes)
    local = axes @ (points - np.array(solid.centre)[:, None])
    if isinstance(solid, Ball):
        local /= solid.radius
        u = np.arctan2(local[0], -local[2]) / (2 * np.pi) + 0.5
        v = np.arccos(np.clip(-local[1], -1, 1)) / np.pi
        return axes.T @ local, np.zeros(len(u), np.intp), np.stack((u, v))
    local /= np.array(solid.half)[:, None]
    axis = np.abs(local).argmax(axis=0)
    each = np.arange(len(axis))
    sign = np.sign(local[axis, each])
    outward = -axes.T if solid.kind == 'room' else axes.T
    u_axis, v_axis = np.array([2, 0, 0])[axis], np.array([1, 2, 1])[axis]
    places = np.stack((local[u_axis, each], local[v_axis, each]))
    return outward[:, axis] * sign, 2 * axis + (sign > 0), (np.clip(places, -1, 1) + 1) / 2


def _distance_to_ball(ball: Ball, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
    away = origin - ball.centre
    square, along = _dot(directions, directions), away @ directions
    inside = along**2 - square * (away @ away - ball.radius**2)
    distance = (-along - np.sqrt(np.maximum(inside, 0))) / square
    return np.where((inside >= 0) & (distance > 0), distance, np.inf)


def _may_meet(
    solid: Solid, origin: np.ndarray, directions: np.ndarray, square: np.ndarray
) -> np.ndarray:
    """Positions of the rays that meet the sphere around a solid; the others need no closer look."""
    radius = float(np.linalg.norm(solid.half)) if isinstance(solid, Box) else solid.radius
    away = np.asarray(solid.centre) - origin
    beyond = away @ away - (1.0001 * radius) ** 2
    if beyond <= 0:
        return np.arange(len(square))
    along = away @ directions
    return np.flatnonzero((along > 0) & (along**2 >= square * beyond))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Products of columns, (N,)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
