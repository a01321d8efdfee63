"""What a camera and a depth sensor make of a view."""

from __future__ import annotations

import numpy as np

from .render import Labels
from .scene import Camera
from .trace import rays


def expose(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An image with the noise of a sensor, as (H, W, 3) uint8.

    The variance grows with the light (photons are counted) above a floor of the electronics.
    """
    noise = rng.standard_normal(image.shape) * np.sqrt(2e-5 + 4e-4 * image)
    return (np.clip(image + noise, 0, 1) * 255).round().astype(np.uint8)


def unmeasured(labels: Labels, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """Where a depth sensor gives no value, (H, W) bool; a few per cent of the pixels.

    On surfaces that it sees at a grazing angle, on half of the edges, and in some small holes.
    """
    height, width = labels.depth.shape
    missing = (labels.edges > 0) & (rng.random((height, width)) < 0.5)
    towards = rays(camera).T.reshape(height, width, 3)
    facing = -(towards * labels.normals).sum(axis=-1) / np.linalg.norm(towards, axis=-1)
    missing |= (facing < 0.2) & (rng.random((height, width)) < 0.3)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(3):
        row, column, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(1, 3)
        missing |= (rows - row) ** 2 + (columns - column) ** 2 < radius**2
    return missing


def measure(labels: Labels, camera: Camera, rng: np.random.Generator) -> Labels:
    """Labels as a depth sensor would give them: where it has none, depth and normal are 0."""
    known = ~unmeasured(labels, camera, rng)
    return labels._replace(depth=labels.depth * known, normals=labels.normals * known[..., None])
