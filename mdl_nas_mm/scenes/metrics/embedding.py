"""The loss of embeddings as a metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mdl_nas_mm.registry import METRICS
from mdl_nas_mm.utils.amounts import check_count

from ..labels import SEGMENTATION
from ..losses.embedding import pair_loss
from .dense_metric import DenseMetric


@METRICS.register_module()
class EmbeddingMetric(DenseMetric):
    """``loss``: the mean over images of the metric learning loss of some of their pixels.

    Which ones depends on the size of the image alone, so that models are compared on the same.

    Args:
        pixels: how many, of an image.
        collect_device, prefix: see mmengine's ``BaseMetric``.
    """

    prediction = 'pred_embedding'
    label = SEGMENTATION.field

    def __init__(
        self, pixels: int = 256, collect_device: str = 'cpu', prefix: str | None = None
    ) -> None:
        super().__init__(collect_device, prefix)
        check_count('EmbeddingMetric', 'pixels', pixels, 2)
        self.pixels = pixels

    def compare(self, prediction: Tensor, label: Tensor) -> np.ndarray:
        """Whether there are labels, and the loss."""
        embedding, segments = prediction.flatten(1), label.flatten()
        order = torch.randperm(len(segments), generator=torch.Generator().manual_seed(0))
        order = order.to(segments.device)
        sampled = order[segments[order] != SEGMENTATION.invalid][: self.pixels]
        if len(sampled) < 2:
            return np.zeros(2)
        return np.array([1, pair_loss(embedding[:, sampled].T.double(), segments[sampled]).item()])

    def compute_metrics(self, results: Sequence[np.ndarray]) -> dict[str, float]:
        count, loss = self.summed(results)
        return dict(loss=loss / count if count else np.nan)
