"""A small convolutional head on the tokens of a plain transformer."""

from __future__ import annotations

from collections.abc import Sequence

from mmpretrain.models.backbones.convnext import ConvNeXtBlock
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.utils.private import decoded_maps


@MODELS.register_module()
class ConvNeXtHead(BaseDecodeHead):
    """The task head of MultiMAE, and of efficient computation sharing across tasks.

    A linear layer to ``channels``, each token cut into ``patch`` x ``patch`` pixels, ConvNeXt
    blocks, and a linear layer to the logits: a map ``patch`` times as high and wide as its input.

    Args:
        channels: 1536 or 3072 there, a multiple of ``patch`` x ``patch``.
        patch: what a token is cut into.
        depth: how many blocks.
        kwargs: those of ``BaseDecodeHead``.
    """

    def __init__(self, channels: int = 1536, patch: int = 4, depth: int = 2, **kwargs) -> None:
        if channels % patch**2:
            raise ValueError(
                f'ConvNeXtHead: channels {channels} is no multiple of patch x patch, {patch**2}'
            )
        super().__init__(channels=channels // patch**2, **kwargs)
        self.projection = nn.Conv2d(self.in_channels, channels, kernel_size=1)
        self.cut = nn.PixelShuffle(patch)
        self.blocks = nn.Sequential(*(ConvNeXtBlock(self.channels) for _ in range(depth)))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Maps (B, C, H, W) -> logits (B, num_classes, patch * H, patch * W)."""
        tokens = self.projection(decoded_maps(self, inputs))
        return self.cls_seg(self.blocks(self.cut(tokens)))
