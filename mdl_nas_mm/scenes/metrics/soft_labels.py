"""Classes whose labels are probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mdl_nas_mm.registry import METRICS

from ..labels import POINT
from .dense_metric import DenseMetric


@METRICS.register_module()
class SoftLabelMetric(DenseMetric):
    """Predicted probabilities against those of the label, image by image.

    ``top1`` is the percentage of images whose likeliest class is the label's likeliest, ``top5``
    that of those whose five likeliest have it, ``loss`` the mean cross entropy. An image whose
    label is nan is left out.
    """

    prediction = 'pred_point'
    label = POINT.field

    def compare(self, prediction: Tensor, label: Tensor) -> np.ndarray:
        """Whether it is labelled, whether the first and the first five are right, and the loss."""
        found, label = prediction.flatten().double(), label.flatten().to(prediction).double()
        if not label.isfinite().all():
            return np.zeros(4)
        best = label.argmax()
        first = found.topk(min(5, len(found))).indices
        loss = -(label * found.clamp(min=torch.finfo(torch.float32).tiny).log()).sum()
        return np.array([1, (first[0] == best).item(), (first == best).any().item(), loss.item()])

    def compute_metrics(self, results: Sequence[np.ndarray]) -> dict[str, float]:
        count, top1, top5, loss = self.summed(results)
        if not count:
            return dict.fromkeys(('top1', 'top5', 'loss'), np.nan)
        return dict(top1=100 * top1 / count, top5=100 * top5 / count, loss=loss / count)
