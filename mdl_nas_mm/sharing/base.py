"""What all kinds of sharing have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mdl_nas_mm.spec import SharingPolicy

from .slices import first_rows

Shapes = Mapping[str, tuple[int, ...]]
# A tensor, or None where a kind has no such weights; each kind knows what it has.
Weight = Any


@dataclass(frozen=True)
class SharingKind(SharingPolicy):
    """Base of the registered kinds, which are frozen dataclasses of their settings.

    A kind that only says which channels are shared (``shared_channels``) is complete: its weights
    are merged row by row.
    """

    @property
    def type(self) -> str:
        """The name that a config gives."""
        return type(self).__name__

    def shared_shapes(self, shapes: Shapes) -> dict[str, tuple[int, ...]]:
        """Name -> shape of a layer's parameters that all tasks use.

        Args:
            shapes: those of the plain layer.
        """
        return dict(shapes) if self.has_shared else {}

    def specific_shapes(self, shapes: Shapes) -> dict[str, tuple[int, ...]]:
        """Name -> shape of the parameters that each task owns; see ``shared_shapes``."""
        return dict(shapes) if self.has_specific else {}

    def initial(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """A new parameter; layers initialise those of the plain layer themselves."""
        return torch.empty(shape)

    def choose(self, channels: int, groups: int, share_ratio: float, scores: Tensor | None) -> Any:
        """What ``merge`` has to know of a layer's channels, once for all of its parameters.

        Args:
            channels: how many of each group are used, the first ones.
            groups: number of groups that the channels are in.
            share_ratio: the part of the channels that is shared.
            scores: (groups * max_channels,) of a kind that has any.
        """
        values = None if scores is None else scores.detach().float().cpu().numpy()
        shared = self.shared_channels(share_ratio, channels, groups, values)
        return torch.tensor(shared)

    def merge(self, shared: Weight, specific: Weight, sizes: Sequence[int], choice: Any) -> Tensor:
        """The weight that one task uses, (groups, channels[, columns]).

        Args:
            shared: the shared weight, (groups, max_channels[, max_columns]).
            specific: that of the task's owners, of the same shape.
            sizes: how much of them is used, (channels[, columns]).
            choice: what ``choose`` gave.
        """
        chosen = choice.to(shared.device).reshape(*choice.shape, *[1] * (shared.dim() - 2))
        return torch.where(chosen, first_rows(shared, sizes), first_rows(specific, sizes))
