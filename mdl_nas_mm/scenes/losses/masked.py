"""Losses over the elements of an image that have a label."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mdl_nas_mm.registry import MODELS


def mean_by_image(values: Tensor, valid: Tensor) -> Tensor:
    """The mean over images of the mean over an image's valid elements.

    So a batch that is split over processes has the mean of its parts. An image without any valid
    element counts as 0.

    Args:
        values: (B, C, H, W), or any shape that begins with the images.
        valid: booleans of the same shape.
    """
    sums = torch.where(valid, values, 0).flatten(1).sum(1)
    return (sums / valid.flatten(1).sum(1).clamp(min=1)).mean()


class MaskedLoss(nn.Module):
    """A loss of each element, averaged over those that have a label, image by image.

    Called with predictions (B, C, H, W) and labels of the same shape, nan where there is none.
    Subclasses define ``values``.

    Args:
        loss_weight: what it is multiplied by.
        loss_name: its name in the log; ``name`` of the class where it is None.
    """

    name = 'loss'

    def __init__(self, loss_weight: float = 1.0, loss_name: str | None = None) -> None:
        super().__init__()
        self.loss_weight, self.loss_name = loss_weight, loss_name or self.name

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        valid = label.isfinite()
        # No nan of a label may meet a gradient, not even multiplied by zero.
        label = torch.where(valid, label, prediction.detach())
        values = self.values(prediction, label, valid)
        if values.shape != valid.shape:
            valid = valid.all(1, keepdim=True)
        return self.loss_weight * mean_by_image(values, valid)

    def values(self, prediction: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        """The loss of each element (B, C, H, W), or of each pixel (B, 1, H, W).

        Args:
            prediction: (B, C, H, W).
            label: the same, and equal to the prediction where there is none.
            valid: where there is one.
        """
        raise NotImplementedError


@MODELS.register_module()
class MaskedL1Loss(MaskedLoss):
    """|prediction - label|, of depth, normals (the mean over x, y and z) and any regression."""

    name = 'loss_l1'

    def values(self, prediction: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        return (prediction - label).abs()


@MODELS.register_module()
class MaskedL2Loss(MaskedLoss):
    """(prediction - label)^2, as Taskonomy has for curvature and vanishing points."""

    name = 'loss_l2'

    def values(self, prediction: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        return (prediction - label).square()
