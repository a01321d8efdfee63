"""The loss of edges and saliency."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from mdl_nas_mm.registry import MODELS

from .masked import MaskedLoss


@MODELS.register_module()
class BalancedBCELoss(MaskedLoss):
    """Binary cross entropy of logits in which both classes have weights that add up to one.

    ``-w y log p - (1 - w) (1 - y) log(1 - p)``; HED (Xie and Tu, 2015, Eq. 2), with the fixed w of
    ASTMT and what followed it.

    Args:
        pos_weight: w, the weight of edges or of what is salient; None for the share of an image's
            pixels that are none, as in HED.
        loss_weight: multiplies the loss.
        loss_name: what it is logged as.
    """

    name = 'loss_bce'

    def __init__(
        self,
        pos_weight: float | None = 0.95,
        loss_weight: float = 1.0,
        loss_name: str | None = None,
    ) -> None:
        super().__init__(loss_weight, loss_name)
        if pos_weight is not None and not 0 < pos_weight < 1:
            raise ValueError(f'BalancedBCELoss: pos_weight is {pos_weight}, not between 0 and 1')
        self.pos_weight = pos_weight

    def values(self, prediction: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        weight = self.pos_weight
        if weight is None:
            ones = (label * valid).flatten(1).sum(1) / valid.flatten(1).sum(1).clamp(min=1)
            weight = (1 - ones)[:, None, None, None]
        log_one, log_zero = F.logsigmoid(prediction), F.logsigmoid(-prediction)
        return -weight * label * log_one - (1 - weight) * (1 - label) * log_zero
