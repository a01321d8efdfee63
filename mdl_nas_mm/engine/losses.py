"""Puts the losses of all ranks together, so that the first one can log them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor

from .groups import TaskGroups


class LossGatherer:
    """Adds up the ranks' parts of every task's losses with one small exchange a step."""

    def __init__(self, ranks: TaskGroups) -> None:
        self.ranks = ranks
        self.names: list[str] = []

    def __call__(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every task's losses as ``<task>/<name>``, and their sum over the tasks as ``loss``."""
        if not self.ranks.alone:
            parts = self._summed(parts)
        losses = dict(parts)
        total = sum(losses[f'{task}/loss'] for task in self.ranks.assignment.tasks)
        losses['loss'] = cast(Tensor, total)
        return losses

    def _summed(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        zero = next(iter(parts.values())).new_zeros((), dtype=torch.float32)
        while True:
            new = zero + len(parts.keys() - set(self.names))
            values = torch.stack([new, *(parts.get(name, zero).float() for name in self.names)])
            dist.all_reduce(values)
            if not values[0]:
                return dict(zip(self.names, values[1:]))
            # Nearly always the first step only: a task reports the same in every step.
            names = [name for own in self.ranks.all_gather(list(parts)) for name in own]
            self.names = list(dict.fromkeys([*self.names, *names]))
