"""The sequential policy: the first channels are shared (Eq. 4-6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mdl_nas_mm.registry import SHARING_POLICIES
from mdl_nas_mm.spec import shared_count

from .base import SharingKind
from .slices import rows


@SHARING_POLICIES.register_module()
@dataclass(frozen=True)
class Sequential(SharingKind):
    """Shares the first ``share_ratio`` of the channels (Eq. 4-6)."""

    def prefix(self, share_ratio: float, channels: int) -> int:
        """The share ratio of the channels, rounded."""
        return shared_count(share_ratio, channels)

    def choose(self, channels: int, groups: int, share_ratio: float, scores: Tensor | None) -> int:
        """How many of the first channels are shared."""
        return shared_count(share_ratio, channels)

    def merge(self, shared: Tensor, specific: Tensor, sizes: Sequence[int], choice: int) -> Tensor:
        """The first shared channels, and the last specific ones."""
        channels = sizes[0]
        if choice in (0, channels):
            return rows(shared if choice else specific, 0, channels, sizes)
        parts = rows(shared, 0, choice, sizes), rows(specific, choice, channels, sizes)
        return torch.cat(parts, dim=1)
