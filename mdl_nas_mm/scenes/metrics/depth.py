"""Errors of depth, over all pixels and image by image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from mdl_nas_mm.registry import METRICS
from mdl_nas_mm.utils.amounts import check_above

from ..labels import DEPTH
from .dense_metric import DenseMetric, ratio

_MEANS = ('abs_err', 'abs_rel', 'd1', 'd2', 'd3')
_ROOTS = ('rmse', 'rmse_log')


@METRICS.register_module()
class DepthErrorMetric(DenseMetric):
    """Errors of depth in the label's unit, each in both ways that are in use.

    Names without an ending are over all valid pixels of the data set (ATRC, InvPT); those that end
    in ``_image`` are means over images of the value of each image (ASTMT, MTAN with one image a
    batch, mmseg's ``DepthMetric``), where those without a valid pixel are left out.

    ==================  ====================================================================
    ``rmse``            root of the mean squared error
    ``rmse_log``        the same of natural logarithms
    ``abs_err``         mean absolute error
    ``abs_rel``         mean of the absolute error over the label, the relative error of MTAN
    ``d1 d2 d3``        share of pixels whose ratio to the label, or the inverse of it, is
                        below 1.25, 1.25^2 and 1.25^3
    ==================  ====================================================================

    Args:
        min_depth: labels are valid above it.
        max_depth: and below it; None for no limit.
        least: smaller predictions are taken for it where a ratio or a logarithm is.
        collect_device, prefix: see mmengine's ``BaseMetric``.
    """

    prediction = 'pred_depth_map'
    label = DEPTH.field

    def __init__(
        self,
        min_depth: float = 0.0,
        max_depth: float | None = None,
        least: float = 1e-3,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix)
        self.min_depth, self.max_depth = min_depth, np.inf if max_depth is None else max_depth
        if not 0 <= min_depth < self.max_depth:
            raise ValueError(
                f'DepthErrorMetric: depths from {min_depth} to {max_depth}, expected at least 0, '
                'and a larger one'
            )
        check_above(least, 0, 'DepthErrorMetric: least is')
        self.least = least

    def compare(self, prediction: Tensor, label: Tensor) -> np.ndarray:
        """How many pixels are valid, and sums over them in the order of the names."""
        label = label.to(prediction).squeeze()
        valid = (label > self.min_depth) & (label < self.max_depth)
        found, label = prediction.squeeze()[valid].double(), label[valid].double()
        error, positive = (found - label).abs(), found.clamp(min=self.least)
        relation = (positive / label).maximum(label / positive)
        sums = [
            error.sum(),
            (error / label).sum(),
            *((relation < 1.25**k).sum() for k in (1, 2, 3)),
            error.square().sum(),
            (positive.log() - label.log()).square().sum(),
        ]
        return np.array([valid.sum().item(), *(each.item() for each in sums)])

    def compute_metrics(self, results: Sequence[np.ndarray]) -> dict[str, float]:
        images = np.stack(results)
        pooled = _metrics(images.sum(0, keepdims=True))
        each = _metrics(images[images[:, 0] > 0])
        found = {name: values.item() for name, values in pooled.items()}
        means = {f'{name}_image': ratio(v.sum(), len(v)).item() for name, v in each.items()}
        return {**found, **means}


def _metrics(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> value of each row of counts and sums."""
    means = ratio(sums[:, 1:], sums[:, :1]).T
    found = dict(zip(_MEANS + _ROOTS, means))
    return {name: np.sqrt(found[name]) if name in _ROOTS else found[name] for name in found}
