"""Angles between surface normals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mdl_nas_mm.registry import METRICS

from ..labels import NORMALS
from .dense_metric import DenseMetric, ratio

WITHIN = (11.25, 22.5, 30.0)
# Of the histogram that the median is taken from.
_BINS = 3600


@METRICS.register_module()
class NormalsMetric(DenseMetric):
    """Angles in degrees between predicted and labelled normals, over all pixels with a label.

    ``mean``, ``median``, ``rmse``, and the shares ``within_11.25``, ``within_22.5`` and
    ``within_30`` of pixels whose angle is smaller. The median is taken from a histogram of
    0.05 degrees, so that processes exchange little; it is at most as far off. A label that is a
    zero vector is none.
    """

    prediction = 'pred_normals'
    label = NORMALS.field

    def compare(self, prediction: Tensor, label: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Count and sums over the pixels, and the histogram of angles."""
        label = label.to(prediction)
        valid = label.norm(dim=0) > 0
        found, label = (F.normalize(each[:, valid], dim=0) for each in (prediction, label))
        # Exact for small angles too, where a cosine is not.
        angles = 2 * torch.atan2((found - label).norm(dim=0), (found + label).norm(dim=0))
        angles = angles.rad2deg().double()
        sums = [
            torch.tensor(angles.numel()),
            angles.sum(),
            angles.square().sum(),
            *((angles < limit).sum() for limit in WITHIN),
        ]
        bins = (angles * (_BINS / 180)).long().clamp(max=_BINS - 1)
        counts = torch.bincount(bins, minlength=_BINS)
        return np.array([each.item() for each in sums]), counts.int().cpu().numpy()

    def compute_metrics(self, results: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        count, total, squares, *within = np.sum([sums for sums, _ in results], axis=0)
        counts = np.stack([counts for _, counts in results]).sum(0, dtype=np.int64)
        found = dict(
            mean=ratio(total, count), median=_median(counts), rmse=np.sqrt(ratio(squares, count))
        )
        found.update({f'within_{t:g}': ratio(n, count) for t, n in zip(WITHIN, within)})
        return {name: float(value) for name, value in found.items()}


def _median(counts: np.ndarray) -> float:
    """The median in a histogram of angles, as if those of a bin were spread evenly in it."""
    below = np.concatenate([[0], np.cumsum(counts)])
    if not below[-1]:
        return np.nan
    middle = np.array([(below[-1] - 1) // 2, below[-1] // 2])
    bins = np.searchsorted(below, middle, side='right') - 1
    places = bins + (middle - below[bins] + 0.5) / counts[bins]
    return float(places.mean()) * 180 / _BINS
