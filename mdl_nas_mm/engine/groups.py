"""Which ranks work for which task, and the process groups that follow from it.

Every rank works for one task, or, where there are fewer ranks than tasks, for several in turn.
Gradients of shared weights are summed over all ranks, those of a task's own weights and of its
head over the ranks of the task (supplement, C). Two nested ``DistributedDataParallel`` would
weigh ranks by the size of the world, which is wrong for unequal groups; see ``grad_sync``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

# Ranks of a task that is evaluated quickly wait for those of the slowest; a process that has died
# is noticed at once all the same.
_PATIENCE = timedelta(days=1)


@dataclass(frozen=True)
class Dealing:
    """The ranks of each task, and how much each task counts.

    Attributes:
        ranks: task -> its ranks, ascending.
        units: task -> how many batches of the configured size make up its part of one step. It
            is a setting of the training, not of the machine: any number of ranks shares them.
    """

    ranks: Mapping[str, tuple[int, ...]]
    units: Mapping[str, int]

    @property
    def tasks(self) -> tuple[str, ...]:
        """All tasks."""
        return tuple(self.ranks)

    def tasks_of(self, rank: int) -> tuple[str, ...]:
        """The tasks that a rank works for."""
        return tuple(task for task, ranks in self.ranks.items() if rank in ranks)

    def share(self, task: str) -> float:
        """How much a task counts in the mean gradient of shared weights.

        With one unit a rank this is the paper's mean over all ranks.
        """
        return self.units[task] / sum(self.units.values())

    def pieces(self, task: str, rank: int) -> list[tuple[int, int, int]]:
        """What a rank has of a task's batch of one step.

        Returns:
            (unit, part, parts): part number ``part`` of ``parts`` equal ones of a unit.
        """
        ranks, units = self.ranks[task], self.units[task]
        place, count = ranks.index(rank), len(ranks)
        if count <= units:
            first, end = place * units // count, (place + 1) * units // count
            return [(unit, 0, 1) for unit in range(first, end)]
        mates = self.mates(rank)
        return [(place * units // count, mates.index(rank), len(mates))]

    def mates(self, rank: int) -> list[int]:
        """The ranks that have parts of the same batch; one that has whole batches is alone."""
        task = self.tasks_of(rank)[0]
        ranks, units = self.ranks[task], self.units[task]
        if len(ranks) <= units:
            return [rank]
        batches = {other: place * units // len(ranks) for place, other in enumerate(ranks)}
        return [other for other in ranks if batches[other] == batches[rank]]

    def __str__(self) -> str:
        total = sum(self.units.values())
        lines = ['task      ranks               batches a step  counts']
        for task, ranks in self.ranks.items():
            span = str(ranks[0]) if len(ranks) == 1 else f'{ranks[0]} to {ranks[-1]}'
            count = f'{self.units[task]}/{total}'
            lines.append(f'{task:<10}{span:<20}{self.units[task]:<16}{count}')
        return '\n'.join(lines)


def deal(tasks: Sequence[str], units: Mapping[str, int] | None, world_size: int) -> Dealing:
    """Deals ranks to tasks in proportion to their units.

    Args:
        units: see ``Dealing``; one for each task by default.

    Raises:
        ValueError: the units are not of exactly these tasks, or not whole and positive.
    """
    units = dict(units or dict.fromkeys(tasks, 1))
    for task in (*tasks, *units):
        if task not in units or task not in tasks:
            raise ValueError(f'groups: they are of {sorted(units)}, the tasks are {sorted(tasks)}')
    for task, count in units.items():
        if not isinstance(count, int) or count < 1:
            raise ValueError(f'groups: {task} has {count!r}, expected a whole number from 1')
    units = {task: units[task] for task in tasks}
    if world_size < len(tasks):
        return Dealing(_several_a_rank(units, world_size), units)
    counts = dict.fromkeys(tasks, 1)
    for _ in range(world_size - len(tasks)):
        neediest = max(tasks, key=lambda task: (units[task] / counts[task], -counts[task]))
        counts[neediest] += 1
    ranks, start = {}, 0
    for task, count in counts.items():
        ranks[task] = tuple(range(start, start + count))
        start += count
    return Dealing(ranks, units)


def _several_a_rank(units: Mapping[str, int], world_size: int) -> dict[str, tuple[int, ...]]:
    """Each task on one rank, the largest first on the rank that has least to do."""
    loads, owner = [0] * world_size, {}
    for task in sorted(units, key=lambda task: -units[task]):
        owner[task] = loads.index(min(loads))
        loads[owner[task]] += units[task]
    return {task: (owner[task],) for task in units}


@dataclass(frozen=True)
class TaskGroups:
    """One process's place in a dealing, and how it reaches the others.

    Attributes:
        groups: task -> process group of its ranks; None where there is a single process.
        mates: process group of the ranks that have parts of the same batch.
        objects: process group of all ranks for what is no gradient; works without a GPU.
    """

    dealing: Dealing
    rank: int
    groups: Mapping[str, dist.ProcessGroup | None]
    mates: dist.ProcessGroup | None
    objects: dist.ProcessGroup | None

    @classmethod
    def make(cls, dealing: Dealing, timeout: timedelta) -> TaskGroups:
        """Makes the process groups; every rank has to call this."""
        if not dist.is_initialized():
            return cls(dealing, 0, dict.fromkeys(dealing.tasks), None, None)
        # Each rank has to make every group, in the same order.
        groups = {task: dist.new_group(ranks, timeout) for task, ranks in dealing.ranks.items()}
        rank = dist.get_rank()
        mates = dist.new_group(dealing.mates(rank), timeout, use_local_synchronization=True)
        return cls(dealing, rank, groups, mates, dist.new_group(None, _PATIENCE, 'gloo'))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that this process works for."""
        return self.dealing.tasks_of(self.rank)

    @property
    def led_tasks(self) -> tuple[str, ...]:
        """Those of them of which this is the first rank."""
        return tuple(task for task in self.tasks if self.dealing.ranks[task][0] == self.rank)

    @property
    def alone(self) -> bool:
        """Whether this is the only process."""
        return self.objects is None

    def gather(self, value: Any) -> list | None:
        """Every rank's value, on rank 0; None on the others."""
        if self.alone:
            return [value]
        values = [None] * dist.get_world_size() if self.rank == 0 else None
        dist.gather_object(value, values, dst=0, group=self.objects)
        return values

    def all_gather(self, value: Any) -> list:
        """Every rank's value, on every rank."""
        if self.alone:
            return [value]
        values = [None] * dist.get_world_size()
        dist.all_gather_object(values, value, group=self.objects)
        return values

    def own_part(self, model: Mapping) -> dict:
        """The config of a joint model with the tasks of this process alone."""
        return dict(
            model,
            tasks={task: model['tasks'][task] for task in self.tasks},
            backbone=dict(model['backbone'], tasks=self.tasks),
            groups={task: self.groups[task] for task in self.tasks},
            mates=self.mates,
        )

    def any(self, flag: bool) -> bool:
        """Whether a flag is set on any rank."""
        if self.alone:
            return flag
        count = torch.tensor(int(flag))
        dist.all_reduce(count, group=self.objects)
        return bool(count)

    def any_of(self, task: str, flag: bool) -> bool:
        """Whether a flag is set on any rank of a task of this one."""
        if self.alone:
            return flag
        flags = [False] * len(self.dealing.ranks[task])
        dist.all_gather_object(flags, flag, group=self.groups[task])
        return any(flags)
