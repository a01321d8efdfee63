"""What a dense model answers with: a label's key, a loss, and how logits become a prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mdl_nas_mm.registry import MODELS


class Target(nn.Module):
    """A kind of answer; a subclass is a few lines.

    Args:
        channels: of the logits.
        loss: config of a loss, or of several. Each is called with what ``output`` makes of the
            logits (B, C, H, W) and a label, nan where there is none, for those images that have
            one; it has a ``loss_name``. So upstream's ``SiLogLoss`` can be one.

    Attributes:
        label: key of the label in a data sample.
        prediction: key of the prediction.
        is_map: whether it has a value for each pixel; else one for the image.
        channels: of the logits, and of the label unless ``label_channels`` is another.
    """

    label = ''
    prediction = ''
    is_map = True

    def __init__(self, channels: int, loss: Mapping[str, Any] | Sequence[Mapping[str, Any]]):
        super().__init__()
        self.channels = self.label_channels = channels
        configs = [loss] if isinstance(loss, Mapping) else loss
        self.loss = nn.ModuleList(MODELS.build(config) for config in configs)

    def marked(self, label: Tensor) -> Tensor:
        """A label (B, C, H, W) with nan wherever there is none."""
        return label

    def output(self, logits: Tensor) -> Tensor:
        """What the loss compares with the label."""
        return logits

    def predict(self, logits: Tensor) -> Tensor:
        """What is predicted, (B, C, H, W)."""
        return self.output(logits)

    def mirrored(self, prediction: Tensor, direction: str) -> Tensor:
        """What a flip makes of the values, once the pixels (..., C, H, W) are in place."""
        return prediction

    def losses(self, logits: Tensor, label: Tensor) -> dict[str, Tensor]:
        """Losses by name: means over all images, those without any label counting as 0.

        Args:
            logits: (B, C, H, W).
            label: (B, C', H, W), of the same size.

        Raises:
            ValueError: the label has another number of channels.
        """
        if label.shape[1] != self.label_channels:
            raise ValueError(
                f'{self.label!r} has {label.shape[1]} channels, {type(self).__name__} has '
                f'{self.label_channels}'
            )
        if logits.dtype in (torch.float16, torch.bfloat16):
            # A sum over the pixels of an image would overflow.
            logits = logits.float()
        label = self.marked(label.to(logits.dtype))
        has_label = label.isfinite().flatten(1).any(1)
        if has_label.all():
            return self._added(self.output(logits), label)
        if not has_label.any():
            # Some losses of upstream have no gradient then.
            return {str(loss.loss_name): logits.sum() * 0 for loss in self.loss}
        share = has_label.to(logits.dtype).mean()
        found = self._added(self.output(logits[has_label]), label[has_label])
        return {name: share * loss for name, loss in found.items()}

    def _added(self, output: Tensor, label: Tensor) -> dict[str, Tensor]:
        """Losses by name; those of one name are added."""
        found: dict[str, Tensor] = {}
        for loss in self.loss:
            name, value = str(loss.loss_name), loss(output, label)
            found[name] = found[name] + value if name in found else value
        return found
