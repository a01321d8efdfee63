"""Losses of surface normals; the other one in use is ``MaskedL1Loss``."""

from __future__ import annotations

from torch import Tensor

from mdl_nas_mm.registry import MODELS

from .masked import MaskedLoss


@MODELS.register_module()
class NormalsCosineLoss(MaskedLoss):
    """1 - cos of the angle between unit vectors (B, 3, H, W)."""

    name = 'loss_cos'

    def values(self, prediction: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        return 1 - (prediction * label).sum(1, keepdim=True)
