"""Puts the losses of all ranks together, so that the first one can log them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor

from .groups import TaskGroups


class LossGatherer:
    """Adds up the ranks' parts of every task's losses with one small exchange a step."""

    def __init__(self, ranks: TaskGroups) -> None:
        self.ranks = ranks
        self.names: list[str] | None = None

    def __call__(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every task's losses as ``<task>/<name>``, and their sum over the tasks as ``loss``."""
        if not self.ranks.alone:
            parts = self._summed(parts)
        losses = dict(parts)
        losses['loss'] = sum(losses[f'{task}/loss'] for task in self.ranks.dealing.tasks)
        return losses

    def _summed(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if self.names is None:
            # What a task reports is the same in every step.
            names = [name for own in self.ranks.all_gather(list(parts)) for name in own]
            self.names = list(dict.fromkeys(names))
        device = next(iter(parts.values())).device
        zero = torch.zeros((), device=device)
        values = torch.stack([parts.get(name, zero).float() for name in self.names])
        dist.all_reduce(values)
        return dict(zip(self.names, values))
