"""Patches of images as tokens."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mdl_nas_mm.elastic.layers import ElasticLayerNorm
from mdl_nas_mm.sharing import AllShared


class ElasticPatchEmbed(nn.Module):
    """Non-overlapping square patches to tokens; wholly shared by all tasks.

    Args:
        in_channels: channels of the images.
        embed_dim: widest embedding.
        patch_size: side of a patch in pixels.
        norm_eps: epsilon of a layer normalisation of the tokens; ``None`` for none.
    """

    def __init__(
        self, in_channels: int, embed_dim: int, patch_size: int, norm_eps: float | None = None
    ) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, embed_dim, patch_size, patch_size)
        nn.init.xavier_uniform_(self.proj.weight.view(embed_dim, -1))
        assert self.proj.bias is not None
        nn.init.zeros_(self.proj.bias)
        self.norm = None
        if norm_eps is not None:
            self.norm = ElasticLayerNorm(embed_dim, AllShared(), (), norm_eps)

    def forward(self, x: Tensor, embed_dim: int) -> tuple[Tensor, tuple[int, int]]:
        """Maps (B, C, H, W) to tokens (B, h * w, embed_dim) and the grid (h, w).

        Images that are no multiple of the patch are padded with zeros below and right.

        Raises:
            ValueError: the image is smaller than one patch.
        """
        patch, (height, width) = self.proj.stride[0], x.shape[-2:]
        if height < patch or width < patch:
            raise ValueError(
                f'input of {height} x {width} pixels is smaller than one patch of '
                f'{patch} x {patch}; give images of at least that size'
            )
        x = F.pad(x, (0, -width % patch, 0, -height % patch))
        weight, bias = self.proj.weight, self.proj.bias
        assert bias is not None
        x = F.conv2d(x, weight[:embed_dim], bias[:embed_dim], stride=patch)
        grid = (x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2)
        return (x if self.norm is None else self.norm(x, None, 1.0)), grid
