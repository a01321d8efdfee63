"""Textures as pixels, from scikit-learn's photographs and digits."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from ..render import render_digit
from .scene import Digits, Texture

_SIDE = 64
_TILE = 32


@lru_cache(maxsize=1)
def photos() -> list[np.ndarray]:
    """scikit-learn's two photographs, (427, 640, 3) uint8."""
    from sklearn.datasets import load_sample_images

    return load_sample_images().images


@lru_cache(maxsize=1)
def digit_images() -> np.ndarray:
    """scikit-learn's digits, (1797, 8, 8) with values 0 to 16."""
    from sklearn.datasets import load_digits

    return load_digits().images


@lru_cache(maxsize=256)
def tile_of(texture: Texture) -> np.ndarray:
    """One tile of a texture, (H, W, 3) float32 in [0, 1]."""
    if isinstance(texture, Digits):
        tiles = [np.hstack([_digit(number) for number in row]) for row in texture.rows]
        alpha = np.vstack(tiles)[..., None]
        pixels = alpha * np.array(texture.ink) + (1 - alpha) * np.array(texture.paper)
    else:
        left, top, right, bottom = texture.part
        photo = Image.fromarray(photos()[texture.number][top:bottom, left:right])
        photo = photo.resize((_SIDE, _SIDE), Image.Resampling.BOX)
        colour = np.array(texture.colour)
        pixels = colour + texture.contrast * (np.asarray(photo) / 255.0 - colour)
    return pixels.astype(np.float32)


def colours_at(texture: Texture, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Colours at places of a surface, between pixels interpolated linearly.

    Args:
        texture: the texture of the surface.
        u: (N,) from left to right in [0, 1].
        v: (N,) from top to bottom in [0, 1].

    Returns:
        (N, 3) in [0, 1].
    """
    pixels = tile_of(texture)
    height, width = pixels.shape[:2]
    left, x = _between((u * texture.repeat).astype(np.float32), width)
    top, y = _between((v * texture.repeat).astype(np.float32), height)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    upper = pixels[top, left] * (1 - x) + pixels[top, right] * x
    lower = pixels[bottom, left] * (1 - x) + pixels[bottom, right] * x
    return upper * (1 - y) + lower * y


def _between(place: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixel before each place, in tiles that are mirrored in turns, and how far beyond it."""
    folded = 1 - np.abs(1 - np.mod(place, 2))
    at = np.clip(folded * size - np.float32(0.5), 0, size - 1)
    first = at.astype(np.int32)
    return first, (at - first.astype(np.float32))[:, None]


@lru_cache(maxsize=256)
def _digit(number: int) -> np.ndarray:
    """One digit in the middle of a tile, opacity (32, 32)."""
    ink = render_digit(digit_images()[number], 22)[:_TILE, :_TILE]
    top, left = (_TILE - ink.shape[0]) // 2, (_TILE - ink.shape[1]) // 2
    tile = np.zeros((_TILE, _TILE))
    tile[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return tile
