"""Answers with some numbers for an image."""

from __future__ import annotations

from torch import Tensor

from mdl_nas_mm.registry import MODELS

from ..labels import POINT
from .map_targets import Losses
from .target import Target

SOFT_CROSS_ENTROPY = dict(type='mdl_nas_mm.SoftCrossEntropyLoss')
L2 = dict(type='mdl_nas_mm.MaskedL2Loss')


class _PointTarget(Target):
    label = POINT.field
    prediction = 'pred_point'
    is_map = False


@MODELS.register_module()
class SoftLabelTarget(_PointTarget):
    """Probabilities of classes, as the labels are: Taskonomy's objects and scenes.

    A jigsaw puzzle is one as well: its classes are the permutations of the tiles, and its labels
    have a single 1.

    Args:
        channels: how many classes.
        loss: config of one of logits, or of several; by default soft cross entropy.
    """

    def __init__(self, channels: int, loss: Losses = SOFT_CROSS_ENTROPY) -> None:
        super().__init__(channels, loss)

    def predict(self, logits: Tensor) -> Tensor:
        return logits.softmax(1)


@MODELS.register_module()
class VectorTarget(_PointTarget):
    """Some numbers, such as three vanishing points as 9.

    Args:
        channels: how many.
        loss: config of one, or of several; by default L2.
    """

    def __init__(self, channels: int = 9, loss: Losses = L2) -> None:
        super().__init__(channels, loss)
