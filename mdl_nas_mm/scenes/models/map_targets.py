"""Answers with a value for each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.utils.amounts import check_above

from ..labels import DEPTH, EDGES, NORMALS, REGRESSION, SALIENCY, SEGMENTATION
from .target import Target

Losses = Mapping[str, Any] | Sequence[Mapping[str, Any]]
L1 = dict(type='mdl_nas_mm.MaskedL1Loss')
BALANCED_BCE = dict(type='mdl_nas_mm.BalancedBCELoss')
PAIRS = dict(type='mdl_nas_mm.PixelEmbeddingLoss')
_ACTIVATIONS = dict(
    linear=torch.positive, softplus=F.softplus, exp=torch.exp, sigmoid=torch.sigmoid
)


def _ignored(label: Tensor) -> Tensor:
    """nan where there is no label of edges, saliency or segments."""
    return label.masked_fill(label == EDGES.invalid, torch.nan)


class _ActivatedTarget(Target):
    """What an activation makes of the logits."""

    def __init__(self, channels: int, loss: Losses, activation: str) -> None:
        super().__init__(channels, loss)
        if activation not in _ACTIVATIONS:
            raise ValueError(
                f'{type(self).__name__}: activation is {activation!r}, expected one of '
                f'{tuple(_ACTIVATIONS)}'
            )
        self.activation = activation

    def output(self, logits: Tensor) -> Tensor:
        return _ACTIVATIONS[self.activation](logits)


@MODELS.register_module()
class DepthTarget(_ActivatedTarget):
    """Depth in metres; labels of 0 and below are none.

    Args:
        activation: of the logits: ``'linear'``, ``'softplus'``, ``'exp'`` (the logits are log
            depth), or ``'sigmoid'`` times ``max_depth``. ``SiLogLoss`` and ``LogDepthLoss`` have no
            gradient where depth is not positive, as it may be with ``'linear'``.
        min_depth: predictions are at least that.
        max_depth: and at most that; None for no limit.
        loss: config of one, or of several; by default L1, as ASTMT, ATRC and InvPT have.
    """

    label = DEPTH.field
    prediction = 'pred_depth_map'

    def __init__(
        self,
        activation: str = 'linear',
        min_depth: float = 1e-3,
        max_depth: float | None = None,
        loss: Losses = L1,
    ) -> None:
        super().__init__(1, loss, activation)
        scale = max_depth if activation == 'sigmoid' else 1.0
        if scale is None:
            raise ValueError('DepthTarget: activation sigmoid needs max_depth, which is None')
        if max_depth is not None:
            check_above(max_depth, min_depth, 'DepthTarget: max_depth is')
        self._scale: float = scale
        self.min_depth, self.max_depth = min_depth, max_depth

    def marked(self, label: Tensor) -> Tensor:
        return label.masked_fill(~(label > 0), torch.nan)

    def output(self, logits: Tensor) -> Tensor:
        return self._scale * super().output(logits)

    def predict(self, logits: Tensor) -> Tensor:
        return self.output(logits).clamp(self.min_depth, self.max_depth)


@MODELS.register_module()
class NormalsTarget(Target):
    """Surface normals, unit vectors (x, y, z); a zero vector is none.

    Logits are resized first and made unit vectors then.

    Args:
        loss: config of one of unit vectors, or of several; by default L1, as ASTMT, ATRC and
            InvPT have.
    """

    label = NORMALS.field
    prediction = 'pred_normals'

    def __init__(self, loss: Losses = L1) -> None:
        super().__init__(3, loss)

    def marked(self, label: Tensor) -> Tensor:
        return label.masked_fill(~(label.norm(dim=1, keepdim=True) > 0), torch.nan)

    def output(self, logits: Tensor) -> Tensor:
        # Where all logits are 0 the gradient stays finite.
        return logits * logits.square().sum(1, keepdim=True).clamp(min=1e-8).rsqrt()

    def mirrored(self, prediction: Tensor, direction: str) -> Tensor:
        axis = dict(horizontal=0, vertical=1)[direction]
        signs = prediction.new_ones(3, 1, 1)
        signs[axis] = -1
        return prediction * signs


class _BinaryTarget(Target):
    """The probability of a class; labels are 1 and 0, or 255 for none."""

    def __init__(self, loss: Losses = BALANCED_BCE) -> None:
        super().__init__(1, loss)

    def marked(self, label: Tensor) -> Tensor:
        return _ignored(label)

    def predict(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()


@MODELS.register_module()
class EdgesTarget(_BinaryTarget):
    """Probabilities of edges; labels are 1 and 0, or 255 for none.

    Args:
        loss: config of one of logits, or of several; by default balanced BCE with 0.95.
    """

    label = EDGES.field
    prediction = 'pred_edges'


@MODELS.register_module()
class SaliencyTarget(_BinaryTarget):
    """Probabilities of being salient; labels are 1 and 0, or 255 for none.

    Args:
        loss: config of one of logits, or of several; by default balanced BCE with 0.95.
    """

    label = SALIENCY.field
    prediction = 'pred_saliency'


@MODELS.register_module()
class RegressionTarget(_ActivatedTarget):
    """Any image of values; labels that are nan are none.

    Curvature (2 channels), reshading, key points and edges as heat maps (1), auto-encoding,
    inpainting and denoising, whose label is the clean image (3).

    Args:
        channels: of the image.
        loss: config of one, or of several; by default L1.
        activation: of the logits: ``'linear'``, ``'softplus'``, ``'exp'`` or ``'sigmoid'``.
            Distances under ``LogDepthLoss`` need one that is positive.
    """

    label = REGRESSION.field
    prediction = 'pred_regression'

    def __init__(self, channels: int, loss: Losses = L1, activation: str = 'linear') -> None:
        super().__init__(channels, loss, activation)


@MODELS.register_module()
class EmbeddingTarget(Target):
    """An embedding of each pixel, near for those of one segment; segments of 255 are none.

    Args:
        channels: of the embedding; Taskonomy's unsupervised segmentations have 64.
        loss: see ``Target``.
    """

    label = SEGMENTATION.field
    prediction = 'pred_embedding'

    def __init__(self, channels: int = 64, loss: Losses = PAIRS) -> None:
        super().__init__(channels, loss)
        self.label_channels = 1

    def marked(self, label: Tensor) -> Tensor:
        return _ignored(label)
