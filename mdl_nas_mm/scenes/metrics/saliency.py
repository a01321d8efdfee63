"""F-measures and overlap of what is salient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mdl_nas_mm.registry import METRICS

from ..labels import SALIENCY
from .dense_metric import DenseMetric, ratio

# 15 of them for means over images, 19 for what is pooled.
THRESHOLDS_IMAGE = np.linspace(0.2, 0.9, 15)
THRESHOLDS_POOLED = np.linspace(0.05, 0.95, 19)


@METRICS.register_module()
class SaliencyMetric(DenseMetric):
    """maxF and mIoU of saliency, from probabilities; what is labelled 255 is left out.

    =================  ====================================================================
    ``maxF_image``     precision and recall are means over images, at 15 thresholds from 0.2
                       to 0.9; the largest of their F with beta^2 = 1 (ASTMT)
    ``mIoU``           at the same thresholds the mean over images of the overlap of what is
                       salient; the largest (ASTMT)
    ``maxF_pooled``    precision and recall are over all pixels, at 0.05, 0.10, ... 0.95; the
                       largest of their F with beta^2 = 0.3 (ATRC, InvPT)
    =================  ====================================================================

    An image in which nothing is salient and nothing predicted so counts as found; where only one
    of the two is empty, precision and recall are 0.
    """

    prediction = 'pred_saliency'
    label = SALIENCY.field

    def compare(self, prediction: Tensor, label: Tensor) -> np.ndarray:
        """Rows of true positives, of what is predicted, and of what is labelled, by threshold."""
        label, found = label.flatten(), prediction.flatten()
        valid = label != SALIENCY.invalid
        salient, found = label[valid] > 0.5, found[valid]
        limits = torch.as_tensor(np.concatenate([THRESHOLDS_IMAGE, THRESHOLDS_POOLED]))
        # How many thresholds each pixel is above.
        limits, order = limits.to(found).sort()
        above = torch.bucketize(found, limits)
        counts = [
            torch.bincount(each, minlength=len(limits) + 1) for each in (above[salient], above)
        ]
        beyond = torch.stack([each.flip(0).cumsum(0).flip(0)[1:] for each in counts])
        by_threshold = torch.empty_like(beyond)
        by_threshold[:, order] = beyond
        labelled = salient.sum().expand(1, len(limits))
        return torch.cat([by_threshold, labelled]).cpu().numpy()

    def compute_metrics(self, results: Sequence[np.ndarray]) -> dict[str, float]:
        images = np.stack(results).astype(float)
        split = len(THRESHOLDS_IMAGE)
        true, found, labelled = images[..., :split].transpose(1, 0, 2)
        empty = (found == 0) & (labelled == 0)
        precision, recall, overlap = (
            np.where(empty, 1, true / np.maximum(whole, 1)).mean(0)
            for whole in (found, labelled, found + labelled - true)
        )
        pooled_true, pooled_found, pooled_labelled = images[..., split:].sum(0)
        pooled = f_measure(
            ratio(pooled_true, pooled_found), ratio(pooled_true, pooled_labelled), 0.3
        )
        return dict(
            maxF_image=float(f_measure(precision, recall).max()),
            maxF_pooled=float(np.nan_to_num(pooled).max()),
            mIoU=float(overlap.max()),
        )


def f_measure(precision: np.ndarray, recall: np.ndarray, beta2: float = 1.0) -> np.ndarray:
    """(1 + beta^2) P R / (beta^2 P + R), 0 where both are 0."""
    return (1 + beta2) * precision * recall / np.maximum(beta2 * precision + recall, 1e-12)
