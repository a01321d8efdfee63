"""Convolutions that carry information between the windows of a ViT (ViTDet, Section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from mdl_nas_mm.elastic.layers import ElasticLayerNorm
from mdl_nas_mm.sharing import SharingKind, TaskParameters

from .shape import convolutions


class ElasticConv(TaskParameters):
    """A convolution without bias that keeps the size of maps, of any number of channels.

    Args:
        in_channels, out_channels: the most.
        side: of its square kernel, an odd number.
        policy, tasks: see ``TaskParameters``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        side: int,
        policy: SharingKind,
        tasks: Sequence[str],
    ) -> None:
        super().__init__(dict(weight=(out_channels, in_channels, side, side)), policy, tasks)
        self.side = side
        first, *others = self.all_of('weight')
        nn.init.kaiming_normal_(first, mode='fan_out', nonlinearity='relu')
        for weight in others:
            weight.data.copy_(first)

    def forward(self, x: Tensor, task: str | None, out_channels: int) -> Tensor:
        """Maps (B, C, H, W) to (B, out_channels, H, W)."""
        shape = (out_channels, x.shape[1], self.side, self.side)
        (weight,) = self.take(task, out_channels, shape[1] * self.side**2, 1.0)
        return F.conv2d(x, weight.reshape(shape), padding=self.side // 2)


class ElasticPropagation(nn.Module):
    """A residual block of convolutions, each with a layer norm over the channels of a place.

    GELU stands between them. The last norm starts at zero, so that the block is the identity.

    Args:
        kind: one of ``PROPAGATIONS``.
        embed_dim: widest embedding.
        policy, tasks: see ``TaskParameters``.
        norm_eps: epsilon of the norms.
    """

    def __init__(
        self,
        kind: str,
        embed_dim: int,
        policy: SharingKind,
        tasks: Sequence[str],
        norm_eps: float,
    ) -> None:
        super().__init__()
        self.kind = kind
        sizes = convolutions(kind, embed_dim)
        self.convs = nn.ModuleList(
            ElasticConv(inputs, outputs, side, policy, tasks) for side, inputs, outputs in sizes
        )
        self.norms = nn.ModuleList(
            ElasticLayerNorm(outputs, policy, tasks, norm_eps) for _, _, outputs in sizes
        )
        for weight in cast(ElasticLayerNorm, self.norms[-1]).all_of('weight'):
            nn.init.zeros_(weight)

    def forward(self, x: Tensor, task: str | None, grid: tuple[int, int]) -> Tensor:
        """Maps tokens (B, N, C) to the same; a class token in front of the patches stays.

        Args:
            x: (B, N, C), where C is the width in use.
            task: whose weights to use.
            grid: (height, width) in patches.
        """
        special = x.shape[1] - grid[0] * grid[1]
        y = x[:, special:].unflatten(1, grid)
        sizes = convolutions(self.kind, x.shape[-1])
        for i, (conv, norm, (_, _, outputs)) in enumerate(zip(self.convs, self.norms, sizes)):
            y = F.gelu(y) if i else y
            y = conv(y.permute(0, 3, 1, 2), task, outputs).permute(0, 2, 3, 1)
            y = norm(y, task, 1.0)
        return x + F.pad(y.flatten(1, 2), (0, 0, special, 0))
