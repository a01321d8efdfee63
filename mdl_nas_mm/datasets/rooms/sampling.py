"""Rooms sampled at random: a view is a function of its seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .scene import (
    Axes,
    Ball,
    Box,
    Camera,
    Digits,
    Faces,
    Photo,
    RoomScene,
    Solid,
    Texture,
    Vector,
    View,
)
from .trace import distance_to, surface

# Focal length by the image's width: 58 degrees from left to right, about as a Kinect's.
FOCAL = 0.9


@dataclass(frozen=True)
class Material:
    """What the textures of a split may show, so that splits have no pixel in common.

    Attributes:
        digits: positions in scikit-learn's digits.
        columns: first and last column of the photographs, as shares of their width.
    """

    digits: tuple[int, ...]
    columns: tuple[float, float]


def sample_view(
    material: Material, rng: np.random.Generator, height: int = 96, width: int = 128
) -> View:
    """A room with boxes, balls and boards of digits, seen by someone who stands in it."""
    room = _room(material, rng)
    camera = _camera(room, rng, height, width)
    things = _things(material, room, camera, rng)
    boards = _boards(material, room, camera, rng)
    half = np.array(room.half)
    lamp = rng.uniform((-0.6, -0.9, -0.3), (0.6, -0.7, 0.6)) * half
    scene = RoomScene(
        (room, *boards, *things), _vector(lamp), ambient=float(rng.uniform(0.35, 0.55))
    )
    return View(scene, camera)


def turned(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> Axes:
    """Axes that look ``yaw`` to the right, ``pitch`` down, and tilt ``roll``, in radians."""
    cos, sin = np.cos, np.sin
    about_y = np.array([[cos(yaw), 0, -sin(yaw)], [0, 1, 0], [sin(yaw), 0, cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, cos(pitch), -sin(pitch)], [0, sin(pitch), cos(pitch)]])
    about_z = np.array([[cos(roll), sin(roll), 0], [-sin(roll), cos(roll), 0], [0, 0, 1]])
    right, down, forward = about_z @ about_x @ about_y
    return _vector(right), _vector(down), _vector(forward)


def _things(material: Material, room: Box, camera: Camera, rng: np.random.Generator) -> list[Solid]:
    """Up to five boxes and balls in front of the camera, none within another; at least one."""
    things: list[Solid] = []
    wanted, tried = rng.integers(2, 6), 0
    while not things or (len(things) < wanted and tried < 40):
        thing = _thing(material, room, camera, rng)
        if _is_seen(camera, thing) and is_free(thing, room, things):
            things.append(thing)
        tried += 1
    return things


def is_free(thing: Solid, room: Box, others: Sequence[Solid]) -> bool:
    """Whether a thing is inside of the room, and neither over nor under or in any other."""
    x, _, z = thing.centre
    reach = _reach(thing)
    inside = abs(x) + reach < room.half[0] and abs(z) + reach < room.half[2]
    return inside and all(
        np.hypot(x - other.centre[0], z - other.centre[2]) > reach + _reach(other)
        for other in others
    )


def _reach(thing: Solid) -> float:
    """How far a thing reaches from its middle, to the sides."""
    return thing.radius if isinstance(thing, Ball) else np.hypot(thing.half[0], thing.half[2])


def _room(material: Material, rng: np.random.Generator) -> Box:
    half = _vector(rng.uniform((1.6, 1.2, 2.2), (3.0, 1.5, 3.8)))
    wall = _photo(material, rng, rng.uniform(0.1, 0.35), 2.0, (0.55, 0.95))
    floor = _photo(material, rng, rng.uniform(0.3, 0.7), 3.0, (0.25, 0.65))
    ceiling = _photo(material, rng, 0.08, 2.0, (0.75, 1.0))
    return Box('room', (0.0, 0.0, 0.0), half, (wall, wall, ceiling, floor, wall, wall))


def _camera(room: Box, rng: np.random.Generator, height: int, width: int) -> Camera:
    half = np.array(room.half)
    x, z = rng.uniform((-0.5, -0.9), (0.5, -0.6)) * half[[0, 2]]
    y = half[1] - rng.uniform(1.1, 1.7)
    yaw, pitch, roll = rng.uniform((-0.45, -0.1, -0.05), (0.45, 0.3, 0.05))
    return Camera(
        height,
        width,
        FOCAL * width,
        (width / 2, height / 2),
        _vector((x, y, z)),
        turned(yaw, pitch, roll),
    )


def _thing(material: Material, room: Box, camera: Camera, rng: np.random.Generator) -> Solid:
    """A box or a ball somewhere in front of the camera."""
    forward = np.array(camera.axes[2])
    ahead = np.arctan2(forward[0], forward[2]) + rng.uniform(-0.45, 0.45)
    far = rng.uniform(1.5, 4.5)
    x = camera.position[0] + far * np.sin(ahead)
    z = camera.position[2] + far * np.cos(ahead)
    ground = room.half[1]
    if rng.random() < 0.5:
        radius = float(rng.uniform(0.15, 0.45))
        above = rng.uniform(0, 0.9) if rng.random() < 0.3 else 0.0
        texture = _photo(material, rng, rng.uniform(0.5, 1.0), 2.0, (0.2, 1.0))
        axes = turned(*rng.uniform(-np.pi, np.pi, 3))
        return Ball(_vector((x, ground - radius - above, z)), radius, texture, axes)
    half = rng.uniform((0.15, 0.15, 0.15), (0.45, 0.5, 0.45))
    faces = _six(_photo(material, rng, rng.uniform(0.5, 1.0), 1.0, (0.2, 1.0)))
    if rng.random() < 0.3:
        faces = _six(_digits(material, rng, 1, 1))
    centre, axes = _vector((x, ground - half[1], z)), turned(rng.uniform(-np.pi, np.pi))
    return Box('box', centre, _vector(half), faces, axes)


def _boards(material: Material, room: Box, camera: Camera, rng: np.random.Generator) -> list[Box]:
    """One or two boards that do not lie over each other."""
    first, second = (_board(material, room, camera, rng) for _ in range(2))
    apart = np.linalg.norm(np.subtract(first.centre, second.centre))
    both = rng.random() < 0.6 and apart > np.linalg.norm(first.half) + np.linalg.norm(second.half)
    return [first, second] if both else [first]


def _is_seen(camera: Camera, thing: Solid) -> bool:
    """Whether the middle of a thing is inside of the image."""
    x, y, z = np.array(camera.axes) @ np.subtract(thing.centre, camera.position)
    column = camera.focal * x / z + camera.centre[0]
    row = camera.focal * y / z + camera.centre[1]
    return bool(z > 0 and 0 < column < camera.width and 0 < row < camera.height)


def _board(material: Material, room: Box, camera: Camera, rng: np.random.Generator) -> Box:
    """A board of digits on a wall that the camera sees."""
    extent = np.array(room.half)
    position, axes = np.array(camera.position), np.array(camera.axes)
    for _ in range(100):
        x, y = rng.uniform((0.1, 0.1), (0.9, 0.5)) * (camera.width, camera.height)
        direction = np.array([x - camera.centre[0], y - camera.centre[1], camera.focal])
        direction = (direction / camera.focal) @ axes
        point = position + distance_to(room, position, direction[:, None]) * direction
        normal = surface(room, point[:, None])[0][:, 0]
        if not normal[1]:
            break
    forward = -normal
    # Its x axis points to the right for someone who reads it.
    right = np.cross((0.0, 1.0, 0.0), forward)
    columns = int(rng.integers(2, 5))
    half = np.array([0.13 * columns, 0.2, 0.015]) * rng.uniform(1.0, 1.6)
    reach = np.abs(right) * half[0] + np.array([0, half[1], 0]) + np.abs(forward) * half[2]
    centre = np.clip(point, reach - extent, extent - reach)
    faces = _six(_digits(material, rng, 1, columns))
    own = (_vector(right), (0.0, 1.0, 0.0), _vector(forward))
    return Box('board', _vector(centre), _vector(half), faces, own)


def _photo(
    material: Material,
    rng: np.random.Generator,
    contrast: float,
    repeat: float,
    brightness: tuple[float, float],
) -> Photo:
    """A square part of a photograph that belongs to the split."""
    first, last = (round(640 * share) for share in material.columns)
    side = int(rng.integers(60, min(last - first, 200)))
    left, top = int(rng.integers(first, last - side + 1)), int(rng.integers(0, 427 - side + 1))
    part = (left, top, left + side, top + side)
    return Photo(int(rng.integers(2)), part, _colour(rng, *brightness), float(contrast), repeat)


def _digits(material: Material, rng: np.random.Generator, rows: int, columns: int) -> Digits:
    """Dark digits on light paper."""
    shown = rng.choice(material.digits, (rows, columns))
    ink, paper = _colour(rng, 0.0, 0.3), _colour(rng, 0.75, 1.0)
    return Digits(tuple(tuple(row) for row in shown.tolist()), ink, paper)


def _six(texture: Texture) -> Faces:
    return (texture,) * 6


def _colour(rng: np.random.Generator, low: float, high: float) -> Vector:
    return _vector(rng.uniform(low, high, 3))


def _vector(values: Sequence[float] | np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
