"""Elastic layers: each call says its task, output width and share ratio."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mdl_nas_mm.sharing import TaskParameters
from mdl_nas_mm.spec import Policy, Sharing


class ElasticLinear(TaskParameters):
    """A linear layer whose first inputs and outputs can be used alone.

    Args:
        in_features: widest input.
        out_features: widest output of one group.
        groups: outputs are this many groups, each cut to the asked width (3 for q, k, v).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        policy: Policy,
        tasks: Sequence[str],
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        rows = groups * out_features
        shapes = dict(weight=(rows, in_features), **(dict(bias=(rows,)) if bias else {}))
        super().__init__(shapes, policy, tasks, groups)
        # Xavier-uniform by group, as in the original ViT: q, k and v are layers of their own.
        bound = math.sqrt(6 / (in_features + out_features))
        first, *others = self.all_of('weight')
        nn.init.uniform_(first, -bound, bound)
        # All tasks start from the same weights, however many there are.
        for weight in others:
            weight.data.copy_(first)
        for offset in self.all_of('bias') if bias else ():
            nn.init.zeros_(offset)

    def forward(self, x: Tensor, task: str | None, out_features: int, share_ratio: float) -> Tensor:
        """Maps (..., in) to (..., groups * out_features)."""
        return F.linear(x, *self.take(task, out_features, x.shape[-1], share_ratio))


class ElasticLayerNorm(TaskParameters):
    """Layer normalisation over the width of its input."""

    def __init__(
        self, num_features: int, policy: Policy, tasks: Sequence[str], eps: float = 1e-6
    ) -> None:
        super().__init__(dict(weight=(num_features,), bias=(num_features,)), policy, tasks)
        self.eps = eps
        for weight in self.all_of('weight'):
            nn.init.ones_(weight)
        for offset in self.all_of('bias'):
            nn.init.zeros_(offset)

    def forward(self, x: Tensor, task: str | None, share_ratio: float) -> Tensor:
        """Normalises (..., width) over its last dimension."""
        width = x.shape[-1]
        weight, bias = self.take(task, width, 1, share_ratio)
        return F.layer_norm(x, (width,), weight, bias, self.eps)


class ElasticPatchEmbed(nn.Module):
    """Non-overlapping square patches to tokens; wholly shared by all tasks.

    Args:
        norm_eps: epsilon of a layer normalisation of the tokens; ``None`` for none.
    """

    def __init__(
        self, in_channels: int, embed_dim: int, patch_size: int, norm_eps: float | None = None
    ) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, embed_dim, patch_size, patch_size)
        nn.init.xavier_uniform_(self.proj.weight.view(embed_dim, -1))
        nn.init.zeros_(self.proj.bias)
        self.norm = None
        if norm_eps is not None:
            self.norm = ElasticLayerNorm(embed_dim, Policy('AllShared'), (), norm_eps)

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
        x = F.conv2d(x, self.proj.weight[:embed_dim], self.proj.bias[:embed_dim], stride=patch)
        grid = (x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2)
        return (x if self.norm is None else self.norm(x, None, 1.0)), grid


class ElasticMLP(nn.Module):
    """Two linear layers with a GELU between."""

    def __init__(self, embed_dim: int, hidden: int, sharing: Sharing, tasks: Sequence[str]) -> None:
        super().__init__()
        self.fc1 = ElasticLinear(embed_dim, hidden, sharing.ffn, tasks)
        self.fc2 = ElasticLinear(hidden, embed_dim, sharing.ffn, tasks)

    def forward(self, x: Tensor, task: str | None, hidden: int, share_ratio: float) -> Tensor:
        """Maps (..., C) to (..., C)."""
        x_hidden = F.gelu(self.fc1(x, task, hidden, share_ratio))
        return self.fc2(x_hidden, task, x.shape[-1], share_ratio)
