"""ViTDet's feature pyramid from a single map (Li et al., ECCV 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mdl_nas_mm.registry import MODELS


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """Maps of strides 4, 8, 16, 32 and 64 from the last map of a plain ViT of stride 16.

    Args:
        in_channels: channels of the backbone's maps.
        out_channels: channels of each map of the pyramid.
        num_outs: 4, or 5 for one more map at twice the largest stride.
        norm_cfg: norm after every convolution; ViTDet has one over the channels of each place.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 256,
        num_outs: int = 5,
        norm_cfg: Mapping | None = None,
        init_cfg: Mapping | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_outs not in (4, 5):
            raise ValueError(f'num_outs is {num_outs}, expected 4 or 5')
        norm_cfg = dict(norm_cfg or dict(type='mmpretrain.LN2d', eps=1e-6))
        half, quarter = in_channels // 2, in_channels // 4
        self.num_outs = num_outs
        self.rescale = nn.ModuleList(
            [
                nn.Sequential(
                    nn.ConvTranspose2d(in_channels, half, 2, 2),
                    build_norm_layer(norm_cfg, half)[1],
                    nn.GELU(),
                    nn.ConvTranspose2d(half, quarter, 2, 2),
                ),
                nn.ConvTranspose2d(in_channels, half, 2, 2),
                nn.Identity(),
                nn.MaxPool2d(2, 2),
            ]
        )
        no_act = dict(norm_cfg=norm_cfg, act_cfg=None)
        self.convs = nn.ModuleList(
            nn.Sequential(
                ConvModule(channels, out_channels, 1, **no_act),
                ConvModule(out_channels, out_channels, 3, padding=1, **no_act),
            )
            for channels in (quarter, half, in_channels, in_channels)
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The pyramid of the last of the given maps, (B, in_channels, h, w)."""
        outputs = [conv(rescale(inputs[-1])) for rescale, conv in zip(self.rescale, self.convs)]
        if self.num_outs == 5:
            outputs.append(F.max_pool2d(outputs[-1], 1, stride=2))
        return tuple(outputs)
