"""What doubles a map in front of a decoder's cell."""

from __future__ import annotations

from torch import Tensor, nn

from mdl_nas_mm.elastic.layers import ElasticLayerNorm, ElasticLinear
from mdl_nas_mm.sharing import AllShared

from ..swin.shape import NORM_EPS

_SHARED = AllShared()


class ElasticPatchExpanding(nn.Module):
    """Doubles a map: a linear layer to four times the next width, then a pixel shuffle.

    The layer has no bias, and a norm follows, as in Swin-Unet; wholly shared by all tasks. The
    four places of an output channel are rows behind each other, so that a narrower map is the
    first rows of the weight.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.expansion = ElasticLinear(in_channels, 4 * out_channels, _SHARED, (), bias=False)
        self.norm = ElasticLayerNorm(out_channels, _SHARED, (), NORM_EPS)

    def forward(self, x: Tensor, out_channels: int, size: tuple[int, int]) -> Tensor:
        """Maps (B, h, w, C) to (B, H, W, out_channels), of a ``size`` of at most (2 h, 2 w)."""
        batch, height, width, _ = x.shape
        x = self.expansion(x, None, 4 * out_channels, 1.0)
        x = x.view(batch, height, width, out_channels, 2, 2).permute(0, 1, 4, 2, 5, 3)
        x = x.reshape(batch, 2 * height, 2 * width, out_channels)[:, : size[0], : size[1]]
        return self.norm(x, None, 1.0)
