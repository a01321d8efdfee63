"""Losses of dense tasks; pixels without a label, nan, never count."""

from .balanced_bce import BalancedBCELoss
from .depth import BerHuLoss, LogDepthLoss
from .embedding import PixelEmbeddingLoss
from .masked import MaskedL1Loss, MaskedL2Loss, MaskedLoss
from .normals import NormalsCosineLoss
from .soft_cross_entropy import SoftCrossEntropyLoss

__all__ = [
    'BalancedBCELoss',
    'BerHuLoss',
    'LogDepthLoss',
    'MaskedL1Loss',
    'MaskedL2Loss',
    'MaskedLoss',
    'NormalsCosineLoss',
    'PixelEmbeddingLoss',
    'SoftCrossEntropyLoss',
]
