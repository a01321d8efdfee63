"""Structural similarity of predicted images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mdl_nas_mm.registry import METRICS
from mdl_nas_mm.utils.amounts import check_above

from .dense_metric import DenseMetric, has_label

# What five scales of windows of 11 pixels need.
SHORTEST = 176


@METRICS.register_module()
class StructuralSimilarityMetric(DenseMetric):
    """``ms_ssim``, MS-SSIM (Wang et al., 2003) by torchmetrics, the mean over images.

    Where a pixel has no label, as ``mdl_nas_mm.scenes.labels`` says of its kind, both are 0, so
    that it is similar there. An image without any label is left out.

    Args:
        data_range: largest minus smallest value of what is compared.
        key: what is compared: ``pred_<key>`` with ``gt_<key>``, such as ``regression``,
            ``depth_map``, ``normals`` or ``edges``.
        collect_device, prefix: see mmengine's ``BaseMetric``.

    Raises:
        ValueError: torchmetrics is not installed; in ``process``, a side of an image has less
            than 176 pixels.
    """

    def __init__(
        self,
        data_range: float,
        key: str = 'regression',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        try:
            from torchmetrics.functional.image import (
                multiscale_structural_similarity_index_measure as ms_ssim,
            )
        except ImportError as error:
            raise ValueError(
                "StructuralSimilarityMetric needs torchmetrics: pip install 'mdl_nas_mm[scenes]'"
            ) from error
        check_above(data_range, 0, 'StructuralSimilarityMetric: data_range is')
        self.prediction, self.label = f'pred_{key}', f'gt_{key}'
        self.data_range, self._ms_ssim = data_range, ms_ssim

    def compare(self, prediction: Tensor, label: Tensor) -> np.ndarray:
        """Whether there is a label, and MS-SSIM."""
        if min(label.shape[-2:]) < SHORTEST:
            raise ValueError(
                f'MS-SSIM of {self.label!r} of {tuple(label.shape[-2:])} pixels: sides need '
                f'{SHORTEST} or more'
            )
        label = label.to(prediction)
        valid = has_label(label, self.label)
        if not valid.any():
            return np.zeros(2)
        found, label = (torch.where(valid, each, 0)[None] for each in (prediction, label))
        return np.array([1, self._ms_ssim(found, label, data_range=self.data_range).item()])

    def compute_metrics(self, results: Sequence[np.ndarray]) -> dict[str, float]:
        count, similarity = self.summed(results)
        return dict(ms_ssim=similarity / count if count else np.nan)
