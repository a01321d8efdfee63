"""What halves a map between two stages."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mdl_nas_mm.elastic.layers import ElasticLayerNorm, ElasticLinear
from mdl_nas_mm.sharing import AllShared

from .shape import NORM_EPS

_SHARED = AllShared()


class ElasticPatchMerging(nn.Module):
    """Halves a map, taking each 2 x 2 patches together; wholly shared by all tasks.

    Channels are ordered by source channel, then by place in the patch, so that a narrower map
    meets the first columns of the weight.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = ElasticLayerNorm(4 * in_channels, _SHARED, (), NORM_EPS)
        self.reduction = ElasticLinear(4 * in_channels, out_channels, _SHARED, (), bias=False)

    def forward(self, x: Tensor, out_channels: int) -> Tensor:
        """Maps (B, H, W, C) to (B, H / 2, W / 2, out_channels), odd sides padded with zeros."""
        batch, height, width, channels = x.shape
        x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        x = x.view(batch, -(-height // 2), 2, -(-width // 2), 2, channels)
        x = x.permute(0, 1, 3, 5, 2, 4).flatten(3)
        return self.reduction(self.norm(x, None, 1.0), None, out_channels, 1.0)
