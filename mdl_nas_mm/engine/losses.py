"""Puts the losses of all ranks together, so that the first one can log them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
from mmengine.device import get_device
from torch import Tensor

from .groups import TaskGroups


class LossGatherer:
    """Adds up the ranks' parts of every task's losses with one small exchange a step.

    Args:
        ranks: which ranks have which tasks.
    """

    def __init__(self, ranks: TaskGroups) -> None:
        self.ranks = ranks
        self.names: list[str] = []

    def __call__(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every task's losses as ``<task>/<name>``, and their sum over the tasks as ``loss``.

        What no rank has a part of is left out: a task without a label in the step has no loss.
        """
        if not self.ranks.alone:
            parts = self._summed(parts)
        losses = dict(parts)
        keys = [f'{task}/loss' for task in self.ranks.assignment.tasks]
        found = [losses[key] for key in keys if key in losses]
        losses['loss'] = sum(found[1:], found[0]) if found else torch.zeros(())
        return losses

    def _summed(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        some = next(iter(parts.values()), None)
        device = get_device() if some is None else some.device
        zero = torch.zeros((), device=device)
        while True:
            new = len(parts.keys() - set(self.names))
            here = torch.tensor([new, *(name in parts for name in self.names)], device=device)
            own = [parts.get(name, zero).float().reshape(1) for name in self.names]
            values = torch.cat([here.float(), *own])
            dist.all_reduce(values)
            if not values[0]:
                break
            # Nearly always the first step only: a task reports the same in most steps.
            names = [name for own in self.ranks.all_gather(list(parts)) for name in own]
            self.names = list(dict.fromkeys([*self.names, *names]))
        here, sums = values[1:].split(len(self.names))
        return {name: value for name, value, of in zip(self.names, sums, here) if of}
