"""The head of point predictions."""

from __future__ import annotations

from collections.abc import Sequence

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.utils.private import decoded_maps


@MODELS.register_module()
class PooledMLPHead(BaseDecodeHead):
    """Global average pooling, then linear layers.

    Args:
        num_layers: linear layers before the last one, each with an activation behind it.
        act_cfg: the activation; GELU by default.
        kwargs: those of ``BaseDecodeHead``; hidden layers have ``channels``.
    """

    def __init__(self, num_layers: int = 1, act_cfg: dict | None = None, **kwargs) -> None:
        super().__init__(act_cfg=act_cfg or dict(type='GELU'), **kwargs)
        layers: list[nn.Module] = []
        for i in range(num_layers):
            layers.append(nn.Linear(self.channels if i else self.in_channels, self.channels))
            layers.append(MODELS.build(self.act_cfg))
        self.mlp = nn.Sequential(*layers)
        if not num_layers:
            self.conv_seg = nn.Conv2d(self.in_channels, self.out_channels, kernel_size=1)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Maps (B, C, H, W) -> logits (B, num_classes, 1, 1)."""
        pooled = decoded_maps(self, inputs).mean((2, 3))
        return self.cls_seg(self.mlp(pooled)[:, :, None, None])
