"""Errors of images and vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from mdl_nas_mm.registry import METRICS
from mdl_nas_mm.utils.amounts import check_above

from .dense_metric import DenseMetric, has_label


@METRICS.register_module()
class RegressionErrorMetric(DenseMetric):
    """``l1`` and ``l2``, the mean absolute and the mean squared error, and ``psnr``.

    Means over images of the mean over an image's labelled elements; ``mdl_nas_mm.scenes.labels``
    says what has no label. ``psnr``, in decibels, is of the mean squared error of an image, and at
    most 100; it is there with ``data_range`` alone. Taskonomy's loss of vanishing points is ``l2``
    of ``point``.

    Args:
        key: what is compared: ``pred_<key>`` with ``gt_<key>``, such as ``regression``, ``point``
            or ``normals``.
        data_range: largest minus smallest value of what is compared.
        collect_device, prefix: see mmengine's ``BaseMetric``.
    """

    def __init__(
        self,
        key: str = 'regression',
        data_range: float | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        self.prediction, self.label = f'pred_{key}', f'gt_{key}'
        if data_range is not None:
            check_above(data_range, 0, 'RegressionErrorMetric: data_range is')
        self.data_range = data_range

    def compare(self, prediction: Tensor, label: Tensor) -> np.ndarray:
        """Whether there is a label, and the errors."""
        label = label.to(prediction)
        valid = has_label(label, self.label)
        if not valid.any():
            return np.zeros(4)
        error = (prediction[valid] - label[valid]).double()
        l1, l2 = error.abs().mean().item(), error.square().mean().item()
        psnr = 10 * np.log10((self.data_range or 1) ** 2 / l2) if l2 else 100
        return np.array([1, l1, l2, min(psnr, 100)])

    def compute_metrics(self, results: Sequence[np.ndarray]) -> dict[str, float]:
        count, *sums = self.summed(results)
        found = {name: each / count if count else np.nan for name, each in zip(_NAMES, sums)}
        if self.data_range is None:
            del found['psnr']
        return found


_NAMES = ('l1', 'l2', 'psnr')
