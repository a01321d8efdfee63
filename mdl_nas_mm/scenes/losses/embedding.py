"""Metric learning: pixels of a segment are near each other, those of two segments far apart."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.utils.amounts import check_count


def pair_loss(embeddings: Tensor, segments: Tensor) -> Tensor:
    """Cross entropy of pairs of pixels being of one segment (Fathi et al., 2017).

    Two pixels are of one segment with probability 2 / (1 + exp(d^2)), d the distance of their
    embeddings. Pairs of one segment weigh as much as those of two, all together.

    Args:
        embeddings: (N, C), of N pixels of an image.
        segments: (N,), which segment each is of.
    """
    i, j = torch.triu_indices(len(segments), len(segments), 1, device=segments.device)
    squared = (embeddings[i] - embeddings[j]).square().sum(1)
    is_same = segments[i] == segments[j]
    # -log 2 / (1 + exp(d^2)), and the other probability is tanh(d^2 / 2).
    near = F.softplus(squared) - torch.log(squared.new_tensor(2.0))
    far = -torch.tanh(squared / 2).clamp(min=1e-6).log()
    found = [part.mean() for part in (near[is_same], far[~is_same]) if part.numel()]
    return torch.stack(found).mean() if found else embeddings.sum() * 0


@MODELS.register_module()
class PixelEmbeddingLoss(nn.Module):
    """``pair_loss`` of pixels sampled from each image, averaged over the images.

    Called with embeddings (B, C, H, W) and segments (B, 1, H, W), nan where there is none. An image
    without a label counts as 0.

    Args:
        pixels: how many are sampled of an image.
        loss_weight: what it is multiplied by.
        loss_name: its name in the log.
    """

    def __init__(
        self, pixels: int = 256, loss_weight: float = 1.0, loss_name: str = 'loss_embedding'
    ) -> None:
        super().__init__()
        check_count('PixelEmbeddingLoss', 'pixels', pixels, 2)
        self.pixels, self.loss_weight, self.loss_name = pixels, loss_weight, loss_name

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        of_images = [self._image(*image) for image in zip(prediction, label)]
        return self.loss_weight * torch.stack(of_images).mean()

    def _image(self, embedding: Tensor, segments: Tensor) -> Tensor:
        labelled = segments.flatten().isfinite().nonzero().flatten()
        # Sampled on the CPU, so that a seed gives the same on any device.
        sampled = labelled[torch.randperm(len(labelled))[: self.pixels].to(labelled.device)]
        return pair_loss(embedding.flatten(1)[:, sampled].T, segments.flatten()[sampled])
