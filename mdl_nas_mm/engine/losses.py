"""Puts the losses of all ranks together, so that the first one can log them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
import torch.distributed as dist
from mmengine.device import get_device
from torch import Tensor

from .groups import TaskGroups


class LossGatherer:
    """Adds up the ranks' parts of every task's losses with one small exchange a step.

    Args:
        ranks: which ranks have which tasks.
        maybe_missing: tasks that may have no label in a step, and so no loss.
    """

    def __init__(self, ranks: TaskGroups, maybe_missing: Sequence[str] = ()) -> None:
        self.ranks, self.maybe_missing = ranks, maybe_missing
        self.names: list[str] = []

    def __call__(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every task's losses as ``<task>/<name>``, and their sum over the tasks as ``loss``.

        A task without a label in the step has none.
        """
        if not self.ranks.alone:
            parts = self._summed(parts)
        losses = dict(parts)
        found = [losses.get(f'{task}/loss') for task in self.ranks.assignment.tasks]
        total = sum(loss for loss in found if loss is not None)
        losses['loss'] = cast(Tensor, total)
        return losses

    def _summed(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        some = next(iter(parts.values()), None)
        device = get_device() if some is None else some.device
        zero = torch.zeros((), device=device)
        while True:
            new = zero + len(parts.keys() - set(self.names))
            here = [zero + (f'{task}/loss' in parts) for task in self.maybe_missing]
            own = [parts.get(name, zero).float() for name in self.names]
            values = torch.stack([new, *own, *here])
            dist.all_reduce(values)
            if not values[0]:
                break
            # Nearly always the first step only: a task reports the same in every step.
            names = [name for own in self.ranks.all_gather(list(parts)) for name in own]
            self.names = list(dict.fromkeys([*self.names, *names]))
        count = len(self.names)
        missing = {task for task, here in zip(self.maybe_missing, values[1 + count :]) if not here}
        return {
            name: value
            for name, value in zip(self.names, values[1 : 1 + count])
            if name.partition('/')[0] not in missing
        }
