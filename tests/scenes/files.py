"""Small files of the layouts that people have, for the tests of readers and transforms."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.io import savemat


def save(path, array, **options):
    """Writes an array as the ending of the path says; ``key`` names the variable of a .mat file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.asarray(array)
    if path.suffix == '.npy':
        np.save(path, array)
    elif path.suffix == '.mat':
        savemat(path, {options['key']: array})
    elif path.suffix == '.jpg':
        Image.fromarray(array).save(path, quality=100, subsampling=0)
    else:
        Image.fromarray(array).save(path)


def image(height, width, seed=0):
    """(H, W, 3) uint8 noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def slanted(height, width, seed=0):
    """(H, W, 3) unit vectors all around (0, 0, 1)."""
    vectors = np.random.default_rng(seed).normal(0, 0.4, (height, width, 3)) + (0, 0, 1)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def as_colours(vectors):
    """8-bit n = 2 v / 255 - 1."""
    return np.rint((vectors + 1) * 127.5).astype(np.uint8)
