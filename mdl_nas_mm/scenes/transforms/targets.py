"""Targets that are made of the image itself: auto-encoding, denoising, inpainting, jigsaw.

They come behind all transforms that move or colour the image, and but for auto-encoding change it,
so that such a task shares images with no other in a group. With ``by_image`` what they draw is
the same each time, as an evaluation needs. An image that no data set knows is one to predict, which
is noisy, has a hole or is a puzzle already: it stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mdl_nas_mm.registry import TRANSFORMS
from mdl_nas_mm.utils.randomness import derive_seed

from ..labels import POINT, REGRESSION, is_of_data_set


def _generator(results: Mapping[str, Any], by_image: bool) -> Any:
    """What draws: numpy itself, or a generator that follows from the name of the image's file."""
    if not by_image:
        return np.random
    return np.random.RandomState(derive_seed(os.path.basename(results.get('img_path') or '')))


@TRANSFORMS.register_module()
class ImageTarget(BaseTransform):
    """The image is to be predicted: ``gt_regression`` (H, W, 3), RGB from 0 to 1; (H, W) of grey.

    Args:
        is_bgr: whether the image is BGR, as upstream loads it.
    """

    # So it may be of one task of an image group alone; not so the classes below.
    changes_image = False

    def __init__(self, is_bgr: bool = True) -> None:
        self.is_bgr = is_bgr

    def transform(self, results: dict) -> dict:
        """Adds the target; subclasses then change the image."""
        if not is_of_data_set(results):
            return results
        image = results['img']
        # A grey one may be (H, W), whose last dimension is no colour.
        image = image[..., ::-1] if self.is_bgr and image.ndim == 3 else image
        results[REGRESSION.key] = np.ascontiguousarray(image, dtype=np.float32) / 255
        results.setdefault('seg_fields', []).append(REGRESSION.key)
        return self.change(results)

    def change(self, results: dict) -> dict:
        """Makes the input of the image, and the target of what it was if it is not all of it."""
        return results


@TRANSFORMS.register_module()
class DenoiseTarget(ImageTarget):
    """The image without the normal noise that is added to it.

    Args:
        std: standard deviation of the noise, in values from 0 to 255.
        is_bgr: as of ``ImageTarget``.
        by_image: whether an image, by the name of its file, has the same noise each time.
    """

    def __init__(self, std: float = 25.0, is_bgr: bool = True, by_image: bool = False) -> None:
        super().__init__(is_bgr)
        self.std = std
        self.by_image = by_image

    def change(self, results: dict) -> dict:
        image = results['img']
        noise = _generator(results, self.by_image).normal(0, self.std, image.shape)
        noisy = np.clip(image + noise, 0, 255)
        is_whole = np.issubdtype(image.dtype, np.integer)
        results['img'] = (np.rint(noisy) if is_whole else noisy).astype(image.dtype)
        return results


@TRANSFORMS.register_module()
class InpaintTarget(ImageTarget):
    """The image, a square of which is painted over.

    Args:
        size: side of the square, as a part of the shorter side of the image.
        is_central: whether the square is in the middle, or anywhere.
        fill: what is painted, 0 to 255.
        only_hole: whether the target is the square alone, nan elsewhere.
        is_bgr: as of ``ImageTarget``.
        by_image: whether an image, by the name of its file, has the square at one place each time.
    """

    def __init__(
        self,
        size: float = 0.5,
        is_central: bool = True,
        fill: float = 127,
        only_hole: bool = False,
        is_bgr: bool = True,
        by_image: bool = False,
    ) -> None:
        super().__init__(is_bgr)
        if not 0 < size <= 1:
            raise ValueError(f'InpaintTarget: size is from 0 to 1, not {size}')
        self.size = size
        self.is_central = is_central
        self.fill = fill
        self.only_hole = only_hole
        self.by_image = by_image

    def change(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        side = max(round(self.size * min(height, width)), 1)
        top, left = (height - side) // 2, (width - side) // 2
        if not self.is_central:
            generator = _generator(results, self.by_image)
            top = generator.randint(height - side + 1)
            left = generator.randint(width - side + 1)
        hole = np.zeros((height, width), dtype=bool)
        hole[top : top + side, left : left + side] = True
        results['img'] = results['img'].copy()
        results['img'][hole] = self.fill
        if self.only_hole:
            results[REGRESSION.key][~hole] = REGRESSION.invalid
        return results


@TRANSFORMS.register_module()
class JigsawTarget(BaseTransform):
    """Which of several permutations the tiles of the image are in: ``gt_point``, one-hot (P,).

    Tile i of the image that goes in is tile ``permutations[p, i]`` of the image, counted row by
    row.

    Args:
        grid: tiles a side; the sides of the image must be multiples of it.
        num_permutations: P; the permutations are far from one another and the same in every run.
        by_image: whether an image, by the name of its file, has the same permutation each time.
    """

    def __init__(self, grid: int = 3, num_permutations: int = 100, by_image: bool = False) -> None:
        self.grid = grid
        self.by_image = by_image
        self.permutations = distant_permutations(grid**2, num_permutations)

    def transform(self, results: dict) -> dict:
        """Permutes the tiles and adds the target."""
        if not is_of_data_set(results):
            return results
        image, grid = results['img'], self.grid
        height, width = image.shape[:2]
        if height % grid or width % grid:
            raise ValueError(
                f'JigsawTarget: an image of {height} x {width} has no {grid} x {grid} equal tiles'
            )
        chosen = _generator(results, self.by_image).randint(len(self.permutations))
        tiles = image.reshape(grid, height // grid, grid, width // grid, -1).swapaxes(1, 2)
        tiles = tiles.reshape(grid**2, *tiles.shape[2:])[self.permutations[chosen]]
        tiles = tiles.reshape(grid, grid, *tiles.shape[1:]).swapaxes(1, 2)
        results['img'] = np.ascontiguousarray(tiles.reshape(image.shape))
        results[POINT.key] = np.eye(len(self.permutations), dtype=np.float32)[chosen]
        return results


def distant_permutations(length: int, count: int) -> np.ndarray:
    """(count, length) permutations, each of them far from those before it.

    Noroozi and Favaro, Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles,
    2016: the next one is that of ten times as many random ones as are needed whose smallest Hamming
    distance to those that are chosen is the largest.

    Raises:
        ValueError: there are not so many.
    """
    rng = np.random.default_rng(0)
    pool = np.unique([rng.permutation(length) for _ in range(10 * count)], axis=0)
    if len(pool) < count:
        raise ValueError(f'{count} permutations of {length} tiles are too many')
    chosen = [pool[rng.integers(len(pool))]]
    distances = (pool != chosen[0]).sum(1)
    while len(chosen) < count:
        chosen.append(pool[distances.argmax()])
        distances = np.minimum(distances, (pool != chosen[-1]).sum(1))
    return np.array(chosen)
