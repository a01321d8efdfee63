"""All tasks share the whole layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from mdl_nas_mm.registry import SHARING_POLICIES

from .base import SharingKind
from .slices import first_rows


@SHARING_POLICIES.register_module()
@dataclass(frozen=True)
class AllShared(SharingKind):
    """All tasks share every channel."""

    has_specific = False

    def prefix(self, share_ratio: float, channels: int) -> int:
        """All channels."""
        return channels

    def choose(self, channels: int, groups: int, share_ratio: float, scores: Tensor | None) -> None:
        """There is nothing to choose."""

    def merge(self, shared: Tensor, specific: None, sizes: Sequence[int], choice: None) -> Tensor:
        """A view of the shared weight."""
        return first_rows(shared, sizes)
