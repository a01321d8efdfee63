"""ViTDet's feature pyramid from a single map (Li et al., ECCV 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mdl_nas_mm.registry import MODELS

_SCALES = (4, 2, 1, 0.5)


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """Maps of strides 4, 8, 16, 32 and 64 from the last map of a plain ViT of stride 16.

    Args:
        in_channels: channels of the backbone's maps.
        out_channels: channels of each map of the pyramid.
        num_outs: as many as there are ``scale_factors``, or one more at twice the largest stride.
        norm_cfg: norm after every convolution; ViTDet has one over the channels of each place.
        scale_factors: of each map against the backbone's, of 4, 2, 1 and 0.5, from fine to coarse.
        init_cfg: see ``mmengine.model.BaseModule``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 256,
        num_outs: int = 5,
        norm_cfg: Mapping | None = None,
        scale_factors: Sequence[float] = _SCALES,
        init_cfg: Mapping | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if list(scale_factors) != [scale for scale in _SCALES if scale in scale_factors]:
            raise ValueError(f'scale_factors is {scale_factors!r}, expected some of {_SCALES}')
        count = len(scale_factors)
        if not count or num_outs not in (count, count + 1):
            raise ValueError(f'num_outs is {num_outs}, expected {count} or {count + 1}')
        norm_cfg = dict(norm_cfg or dict(type='mmpretrain.LN2d', eps=1e-6))
        self.num_outs = num_outs
        self.rescale = nn.ModuleList(_rescale(s, in_channels, norm_cfg) for s in scale_factors)
        no_act = dict(norm_cfg=norm_cfg, act_cfg=None)
        self.convs = nn.ModuleList(
            nn.Sequential(
                ConvModule(channels, out_channels, 1, **no_act),
                ConvModule(out_channels, out_channels, 3, padding=1, **no_act),
            )
            for channels in (in_channels // max(1, int(scale)) for scale in scale_factors)
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The pyramid of the last of the given maps, (B, in_channels, h, w)."""
        outputs = [conv(rescale(inputs[-1])) for rescale, conv in zip(self.rescale, self.convs)]
        if self.num_outs > len(outputs):
            outputs.append(F.max_pool2d(outputs[-1], 1, stride=2))
        return tuple(outputs)


def _rescale(scale: float, channels: int, norm_cfg: Mapping) -> nn.Module:
    """Brings the backbone's map to another size; the finer, the fewer channels it then has."""
    half = channels // 2
    if scale == 4:
        return nn.Sequential(
            nn.ConvTranspose2d(channels, half, 2, 2),
            build_norm_layer(norm_cfg, half)[1],
            nn.GELU(),
            nn.ConvTranspose2d(half, channels // 4, 2, 2),
        )
    if scale == 2:
        return nn.ConvTranspose2d(channels, half, 2, 2)
    return nn.Identity() if scale == 1 else nn.MaxPool2d(2, 2)
