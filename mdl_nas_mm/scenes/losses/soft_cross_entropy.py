"""The loss of classes whose labels are probabilities."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from mdl_nas_mm.registry import MODELS

from .masked import MaskedLoss


@MODELS.register_module()
class SoftCrossEntropyLoss(MaskedLoss):
    """-sum of label * log softmax(logits) over the classes, the second dimension."""

    name = 'loss_ce'

    def values(self, prediction: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        return -(label * F.log_softmax(prediction, 1)).sum(1, keepdim=True)
