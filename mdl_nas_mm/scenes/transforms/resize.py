"""Resizing that knows its labels."""

from __future__ import annotations

import cv2
import numpy as np
from mmseg.datasets.transforms import Resize

from mdl_nas_mm.registry import TRANSFORMS

from ..encodings import vector_lengths
from ..labels import DEPTH, DISPARITY, NORMALS, LabelKind, kind_of

# Where a mean of neighbours is farther from the nearest than this part of it, they are of two
# things.
_DEPTH_STEP = 0.05
# A mean of unit vectors is as short as this where they differ by some 30 degrees.
_SHORTEST_MEAN = 0.966
# How much the factors of height and width may differ by rounding.
_UNEVEN = 1.05


def resize_label(label: np.ndarray, kind: LabelKind, size: tuple[int, int]) -> np.ndarray:
    """A label map of another size.

    What is no number of a scale (classes, edges) is taken from the nearest pixel. Of the others the
    value is the bilinear mean of those pixels around that have a label, where the nearest one has
    one; depth and normals are those of the nearest pixel where the mean would mix two surfaces.
    Normals have length 1.

    Args:
        label: (H, W) or (H, W, C); float32 if it is of numbers.
        kind: what its values are.
        size: (width, height).
    """
    nearest = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST_EXACT)
    # OpenCV drops a last dimension of 1.
    nearest = nearest.reshape(*size[::-1], *label.shape[2:])
    if not kind.smooth:
        return nearest
    has_label = kind.valid(label)
    mean = cv2.resize(np.nan_to_num(label), size, interpolation=cv2.INTER_LINEAR)
    mean = mean.reshape(nearest.shape)
    if not has_label.all():
        # What has no label is 0 in the sum.
        weights = cv2.resize(has_label.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        mean /= np.maximum(weights, 1e-6).reshape(*weights.shape, *[1] * (label.ndim - 2))
    keeps_nearest = ~kind.valid(nearest)
    if kind in (DEPTH, DISPARITY):
        keeps_nearest |= np.abs(mean - nearest) > _DEPTH_STEP * nearest
    if kind is NORMALS:
        lengths = vector_lengths(mean)
        keeps_nearest |= lengths < _SHORTEST_MEAN
        mean /= np.maximum(lengths, 1e-6)[..., None]
    mean[keeps_nearest] = nearest[keeps_nearest]
    return mean


@TRANSFORMS.register_module()
class SceneResize(Resize):
    """mmseg's ``Resize`` with bilinear depth, normals and regressions, without mixing surfaces.

    Upstream's takes every label from the nearest pixel, which is right as well, if coarser. Use it
    where a transform builds one: ``dict(type='RandomResize',
    resize_type='mdl_nas_mm.SceneResize')``.

    Args:
        divide_depth: whether depth is divided by the factor, as if the camera had come nearer
            instead of its focal length being longer; disparity is multiplied. Published recipes of
            NYUD-v2 do so with random scales, for training alone. Not for a change of the aspect.
        **kwargs: of mmseg's ``Resize``.
    """

    def __init__(self, *args, divide_depth: bool = False, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.divide_depth = divide_depth

    def transform(self, results: dict) -> dict:
        """Resizes the image and its labels, which are of the image's size."""
        fields = results.get('seg_fields', [])
        kinds = {key: kind_of(key) for key in fields if results.get(key) is not None}
        smooth = {key: kind for key, kind in kinds.items() if kind is not None and kind.smooth}
        results['seg_fields'] = [key for key in fields if key not in smooth]
        results = super().transform(results)
        results['seg_fields'] = fields
        size = results['img_shape'][1::-1]
        for key, kind in smooth.items():
            height, width = results[key].shape[:2]
            results[key] = resize_label(results[key], kind, size)
            if self.divide_depth and kind.depth_power:
                factors = size[0] / width, size[1] / height
                results[key] = self._divided(results[key], kind, factors)
        return results

    def _divided(
        self, label: np.ndarray, kind: LabelKind, factors: tuple[float, float]
    ) -> np.ndarray:
        if max(factors) > _UNEVEN * min(factors):
            raise ValueError(
                f'SceneResize: depth cannot be divided by one factor where the width is scaled by '
                f'{factors[0]:.3g} and the height by {factors[1]:.3g}; set keep_ratio=True'
            )
        factor = float(np.sqrt(factors[0] * factors[1])) ** -kind.depth_power
        return label * np.float32(factor)
