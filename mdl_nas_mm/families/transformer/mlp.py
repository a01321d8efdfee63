"""The feed-forward network of a transformer block."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mdl_nas_mm.elastic.layers import ElasticLinear
from mdl_nas_mm.sharing import SharingKind


class ElasticMLP(nn.Module):
    """Two linear layers with a GELU between."""

    def __init__(
        self, embed_dim: int, hidden: int, *, policy: SharingKind, tasks: Sequence[str]
    ) -> None:
        super().__init__()
        self.fc1 = ElasticLinear(embed_dim, hidden, policy, tasks)
        self.fc2 = ElasticLinear(hidden, embed_dim, policy, tasks)

    def forward(self, x: Tensor, task: str | None, hidden: int, share_ratio: float) -> Tensor:
        """Maps (..., C) to (..., C)."""
        x_hidden = F.gelu(self.fc1(x, task, hidden, share_ratio))
        return self.fc2(x_hidden, task, x.shape[-1], share_ratio)
