"""From a view to an image and its exact labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .scene import Ball, Camera, RoomScene, Solid, View
from .textures import colours_at
from .trace import Hits, rays, surface, trace

CLASSES = ('wall', 'floor', 'ceiling', 'box', 'ball', 'board')
# Classes of the room's faces.
_ROOM = ('wall', 'wall', 'ceiling', 'floor', 'wall', 'wall')
# Rays a pixel in each direction, for the image alone.
_RAYS = 2
# Brightness halves at this distance from the lamp, in metres.
_REACH = 4.0


class Labels(NamedTuple):
    """What is known of each pixel, exactly: what the ray through its middle meets.

    Attributes:
        segmentation: (H, W) uint8, position in ``CLASSES``.
        depth: (H, W) float32, metres along the optical axis (the camera's z), not along the ray.
        normals: (H, W, 3) float32, unit vectors in the camera's axes: x right, y down, z forward.
            Towards the camera, so that a wall in front of it has (0, 0, -1), the floor (0, -1, 0).
        edges: (H, W) uint8, 1 where another class or thing begins, else 0. Of the two pixels on
            either side it is the nearer one, so that lines are thin and those of a flipped image
            are the flipped ones. What lies outside of the image counts.
        saliency: (H, W) uint8, 1 on the thing (box or ball) whose middle is nearest to the camera.
    """

    segmentation: np.ndarray
    depth: np.ndarray
    normals: np.ndarray
    edges: np.ndarray
    saliency: np.ndarray


class _Surfaces(NamedTuple):
    """What N rays meet, in the world: points and normals (3, N), faces (N,), places (2, N)."""

    points: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    places: np.ndarray


def render(view: View) -> np.ndarray:
    """The image that the camera sees, without noise: (H, W, 3) float32 in [0, 1].

    A pixel is the mean of four rays. Diffuse light of the lamp, which things keep off each other,
    and light from everywhere.
    """
    fine = view.camera.scaled(_RAYS)
    directions = _in_world(fine)
    hits = trace(view.scene.solids, np.array(fine.position), directions)
    found = _surfaces(view.scene.solids, fine, directions, hits)
    colours = _carried(view.scene.solids, hits, found) * _light(view.scene, found)[:, None]
    blocks = colours.reshape(view.camera.height, _RAYS, view.camera.width, _RAYS, 3)
    image = sum(blocks[:, i, :, j] for i in range(_RAYS) for j in range(_RAYS)) / _RAYS**2
    return np.clip(image, 0, 1).astype(np.float32)


def label(view: View) -> Labels:
    """The labels of what the camera sees."""
    # One pixel more on each side, since an edge is a matter of neighbours.
    camera = view.camera.cropped(-1, -1, view.camera.height + 2, view.camera.width + 2)
    solids = view.scene.solids
    directions = _in_world(camera)
    hits = trace(solids, np.array(camera.position), directions)
    found = _surfaces(solids, camera, directions, hits)
    classes = _classes(solids, hits.solid, found.faces)
    nearest = _nearest_thing(solids, np.array(camera.position))
    maps = (
        classes.astype(np.uint8),
        hits.distance,
        (np.array(camera.axes) @ found.normals).T,
        hits.solid,
        (hits.solid == nearest).astype(np.uint8),
    )
    classes, depth, normals, solid, salient = (
        values.reshape(camera.height, camera.width, *values.shape[1:]) for values in maps
    )
    inside = np.s_[1:-1, 1:-1]
    return Labels(
        classes[inside],
        depth[inside].astype(np.float32),
        normals[inside].astype(np.float32),
        # Things are told apart by number, walls, floor and ceiling by class.
        _edges(solid.astype(np.int64) * len(CLASSES) + classes, depth),
        salient[inside],
    )


def _in_world(camera: Camera) -> np.ndarray:
    """A camera's rays in the world's axes, (3, N)."""
    return np.array(camera.axes).T @ rays(camera)


def _surfaces(
    solids: tuple[Solid, ...], camera: Camera, directions: np.ndarray, hits: Hits
) -> _Surfaces:
    points = np.array(camera.position)[:, None] + hits.distance * directions
    found = _Surfaces(
        points, np.empty_like(points), np.empty_like(hits.solid), np.empty_like(points[:2])
    )
    for number, solid in enumerate(solids):
        mine = np.flatnonzero(hits.solid == number)
        normals, faces, places = surface(solid, points[:, mine])
        found.normals[:, mine], found.faces[mine], found.places[:, mine] = normals, faces, places
    return found


def _carried(solids: tuple[Solid, ...], hits: Hits, found: _Surfaces) -> np.ndarray:
    """Colours of the surfaces before they are lit, (N, 3)."""
    colours = np.empty((len(hits.solid), 3), np.float32)
    for number, solid in enumerate(solids):
        textures = (solid.texture,) if isinstance(solid, Ball) else solid.faces
        for face, texture in enumerate(textures):
            mine = np.flatnonzero((hits.solid == number) & (found.faces == face))
            if len(mine):
                colours[mine] = colours_at(texture, *found.places[:, mine])
    return colours


def _light(scene: RoomScene, found: _Surfaces) -> np.ndarray:
    """How brightly the surfaces are lit, (N,)."""
    lamp = np.array(scene.lamp)
    away = found.points - lamp[:, None]
    square = (away**2).sum(axis=0)
    facing = np.maximum(-(found.normals * away).sum(axis=0) / np.sqrt(square), 0)
    # Rays from the lamp, as long as the way to the point.
    lit = trace(scene.solids, lamp, away).distance > 0.999
    return scene.ambient + lit * facing / (1 + square / _REACH**2)


def _classes(solids: tuple[Solid, ...], solid: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Position in ``CLASSES`` of what N rays meet."""
    of_room = np.array([CLASSES.index(name) for name in _ROOM])
    of_solid = np.array([0] + [CLASSES.index(one.kind) for one in solids[1:]])
    return np.where(solid == 0, of_room[faces], of_solid[solid])


def _nearest_thing(solids: tuple[Solid, ...], position: np.ndarray) -> int:
    """Number of the box or ball whose middle is nearest; -1 if there is none."""
    things = [number for number, solid in enumerate(solids) if solid.kind in ('box', 'ball')]
    away = {number: float(np.linalg.norm(position - solids[number].centre)) for number in things}
    return min(things, key=lambda number: away[number], default=-1)


def _edges(regions: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Of maps (H + 2, W + 2), the pixels (H, W) that have a farther neighbour of another region."""
    height, width = regions.shape
    inside = np.s_[1:-1, 1:-1]
    edges = np.zeros((height - 2, width - 2), bool)
    for row, column in ((0, 1), (2, 1), (1, 0), (1, 2)):
        there = np.s_[row : row + height - 2, column : column + width - 2]
        edges |= (regions[there] != regions[inside]) & (depth[there] > depth[inside])
    return edges.astype(np.uint8)
