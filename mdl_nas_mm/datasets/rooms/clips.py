"""Short videos: a still camera with things that move, and a camera that moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .sampling import Material, is_free, sample_view, turned
from .scene import Ball, Box, Camera, RoomScene, Solid, View

CLIPS = ('still', 'moving')


def sample_clip(
    kind: str,
    material: Material,
    rng: np.random.Generator,
    frames: int,
    height: int = 96,
    width: int = 128,
) -> list[View]:
    """One view a frame.

    Args:
        kind: ``still``: the camera stands, and some of the things move on the floor, balls rolling;
            ``moving``: the things stand, and the camera walks and turns.
        material: what the textures may show.
        rng: of everything that is random.
        frames: how many; what moves does so evenly from the first to the last.
        height, width: of the images in pixels.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in CLIPS:
        raise ValueError(f'a clip is one of {", ".join(CLIPS)}, not {kind!r}')
    first = sample_view(material, rng, height, width)
    times = np.linspace(0, 1, frames)
    if kind == 'moving':
        way = rng.uniform((-0.35, -0.1, 0.1), (0.35, 0.1, 0.4))
        turn = rng.uniform((-0.25, -0.08), (0.25, 0.08))
        return [View(first.scene, _walked(first.camera, t * way, t * turn)) for t in times]
    ways = _ways(first, rng)
    return [View(_after(first.scene, ways, t), first.camera) for t in times]


def _walked(camera: Camera, way: np.ndarray, turn: np.ndarray) -> Camera:
    """A camera that has gone some way in its own axes and has turned."""
    axes = np.array(camera.axes)
    x, y, z = camera.position + way @ axes
    right, down, forward = np.array(turned(*turn)) @ axes
    return replace(
        camera,
        position=(float(x), float(y), float(z)),
        axes=(tuple(right.tolist()), tuple(down.tolist()), tuple(forward.tolist())),
    )


def _ways(view: View, rng: np.random.Generator) -> dict[int, np.ndarray]:
    """Ways on the floor of a first, and perhaps further things: number of the solid -> (3,).

    No thing meets another, a wall or the camera; where that cannot be had, ways become shorter.
    """
    solids = view.scene.solids
    things = [number for number, solid in enumerate(solids) if solid.kind in ('box', 'ball')]
    chosen = things[: 1 + int(rng.integers(len(things)))]
    length = 1.2
    while True:
        ways = {}
        for number in chosen:
            angle = rng.uniform(-np.pi, np.pi)
            ways[number] = length * np.array([np.sin(angle), 0.0, np.cos(angle)])
        times = np.linspace(0, 1, 10)
        if all(_are_apart(_after(view.scene, ways, t), view.camera) for t in times):
            return ways
        length *= 0.9


def _are_apart(scene: RoomScene, camera: Camera) -> bool:
    room, *solids = scene.solids
    assert isinstance(room, Box)
    # Someone holds the camera.
    someone = Ball(camera.position, 0.3, room.faces[0])
    things = [solid for solid in solids if solid.kind in ('box', 'ball')]
    return all(
        is_free(thing, room, [someone, *things[:number]]) for number, thing in enumerate(things)
    )


def _after(scene: RoomScene, ways: dict[int, np.ndarray], share: float) -> RoomScene:
    """The scene after that share of the ways."""
    solids = list(scene.solids)
    for number, way in ways.items():
        solids[number] = _moved(solids[number], share * way)
    return replace(scene, solids=tuple(solids))


def _moved(solid: Solid, way: np.ndarray) -> Solid:
    x, y, z = solid.centre + way
    solid = replace(solid, centre=(float(x), float(y), float(z)))
    length = float(np.linalg.norm(way))
    if not isinstance(solid, Ball) or not length:
        return solid
    # Forward at the top: about the axis on the floor that is to the right of the way.
    along, up = way / length, np.array([0.0, -1.0, 0.0])
    angle = length / solid.radius
    axes = np.array(solid.axes)
    on_way, on_up = axes @ along, axes @ up
    cos, sin = np.cos(angle), np.sin(angle)
    rolled = (
        axes
        + np.outer((cos - 1) * on_way + sin * on_up, along)
        + np.outer((cos - 1) * on_up - sin * on_way, up)
    )
    right, down, forward = (tuple(axis) for axis in rolled.tolist())
    return replace(solid, axes=(right, down, forward))
