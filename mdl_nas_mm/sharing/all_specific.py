"""Each task has a layer of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from mdl_nas_mm.registry import SHARING_POLICIES

from .base import SharingKind
from .slices import first_rows


@SHARING_POLICIES.register_module()
@dataclass(frozen=True)
class AllSpecific(SharingKind):
    """No channel is shared."""

    has_shared = False

    def prefix(self, share_ratio: float, channels: int) -> int:
        """None of the channels."""
        return 0

    def choose(self, channels: int, groups: int, share_ratio: float, scores: Tensor | None) -> None:
        """There is nothing to choose."""

    def merge(self, shared: None, specific: Tensor, sizes: Sequence[int], choice: None) -> Tensor:
        """A view of the task's own weight."""
        return first_rows(specific, sizes)
