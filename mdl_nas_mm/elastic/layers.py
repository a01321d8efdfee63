"""Elastic layers: each call says its task, output width and share ratio."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mdl_nas_mm.sharing import SharingKind, TaskParameters


class ElasticLinear(TaskParameters):
    """A linear layer whose first inputs and outputs can be used alone.

    Args:
        in_features: widest input.
        out_features: widest output of one group.
        policy, tasks, owners: see ``TaskParameters``.
        groups: outputs are this many groups, each cut to the asked width (3 for q, k, v).
        bias: whether the layer has one.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        policy: SharingKind,
        tasks: Sequence[str],
        groups: int = 1,
        bias: bool = True,
        owners: Sequence[Collection[str]] | None = None,
    ) -> None:
        rows = groups * out_features
        shapes = dict(weight=(rows, in_features), **(dict(bias=(rows,)) if bias else {}))
        super().__init__(shapes, policy, tasks, groups, owners)
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
        # Of other strides torch multiplies in one of two ways, by whether weights want gradients,
        # and on some processors their last digits differ: a deposit would not answer to the bit.
        return F.linear(x.contiguous(), *self.take(task, out_features, x.shape[-1], share_ratio))


class ElasticLayerNorm(TaskParameters):
    """Layer normalisation over the width of its input."""

    def __init__(
        self, num_features: int, policy: SharingKind, tasks: Sequence[str], eps: float = 1e-6
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
