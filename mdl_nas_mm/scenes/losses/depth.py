"""Losses of depth; upstream's ``SiLogLoss`` and ``MaskedL1Loss`` are others."""

from __future__ import annotations

import torch
from torch import Tensor

from mdl_nas_mm.registry import MODELS

from .masked import MaskedLoss

# What a depth is at least taken for, in metres, where its logarithm is.
NEAREST = 1e-3


@MODELS.register_module()
class LogDepthLoss(MaskedLoss):
    """|log prediction - log label|, both in metres: depth on a log scale.

    A prediction below 1 mm has no gradient; let the target's activation keep it above.
    """

    name = 'loss_log'

    def values(self, prediction: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        return (prediction.clamp(min=NEAREST).log() - label.clamp(min=NEAREST).log()).abs()


@MODELS.register_module()
class BerHuLoss(MaskedLoss):
    """The reverse Huber loss (Laina et al., 2016).

    |x| up to c, (x^2 + c^2) / 2c beyond. c is a fifth of an image's largest error, where the paper
    takes the batch's: the loss of an image does not depend on which others are beside it.
    """

    name = 'loss_berhu'

    def values(self, prediction: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        # Without a label the error is 0.
        error = (prediction - label).abs()
        c = error.detach().flatten(1).amax(1).clamp(min=1e-6)[:, None, None, None] / 5
        return torch.where(error <= c, error, (error.square() + c.square()) / (2 * c))
