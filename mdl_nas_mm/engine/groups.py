"""The process groups that follow from which rank works for which task.

Gradients of a weight are summed over the ranks of its owners: of shared weights over all ranks, of
a task's own weights and its head over the ranks of the task (supplement, C). Two nested
``DistributedDataParallel`` would weigh ranks by the size of the world, which is wrong for unequal
groups; see ``grad_sync``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

import torch
import torch.distributed as dist

from mdl_nas_mm.spec import Owners
from mdl_nas_mm.tasks.elastic_parts import part_spaces

from .assignment import RankAssignment

# Ranks of a task that is evaluated quickly wait for those of the slowest; a process that has died
# is noticed at once all the same.
_PATIENCE = timedelta(days=1)


def new_group(
    ranks: Sequence[int] | None, timeout: timedelta, *args: Any, **kwargs: Any
) -> dist.ProcessGroup:
    """As torch; on other ranks than these it is something else, which is of no use there."""
    return cast(dist.ProcessGroup, dist.new_group(ranks, timeout, *args, **kwargs))


@dataclass(frozen=True)
class TaskGroups:
    """One process's place in an assignment, and how it reaches the others.

    Attributes:
        groups: task -> process group of its ranks; None where there is a single process.
        batch_group: process group of the ranks that have parts of the same batch.
        own_group: process group of this rank alone.
        objects: process group of all ranks for what is no gradient; works without a GPU.
        timeout: of the groups that are made for gradients.
        owner_groups: owners of weights, where they are several tasks -> process group of their
            ranks; see ``with_owners``.
    """

    assignment: RankAssignment
    rank: int
    groups: Mapping[str, dist.ProcessGroup | None]
    batch_group: dist.ProcessGroup | None
    own_group: dist.ProcessGroup | None
    objects: dist.ProcessGroup | None
    timeout: timedelta = _PATIENCE
    owner_groups: Mapping[Owners, dist.ProcessGroup] = field(default_factory=dict)

    @classmethod
    def make(cls, assignment: RankAssignment, timeout: timedelta) -> TaskGroups:
        """Makes the process groups; every rank has to call this."""
        if not dist.is_initialized():
            return cls(assignment, 0, dict.fromkeys(assignment.tasks), None, None, None)
        # Each rank has to make every group, in the same order.
        groups = {task: new_group(ranks, timeout) for task, ranks in assignment.ranks.items()}
        rank = dist.get_rank()
        sharers = assignment.batch_ranks(rank)
        own_group = new_group([rank], timeout, use_local_synchronization=True)
        batch_group = own_group
        if sharers != [rank]:
            batch_group = new_group(sharers, timeout, use_local_synchronization=True)
        objects = new_group(None, _PATIENCE, 'gloo')
        return cls(assignment, rank, groups, batch_group, own_group, objects, timeout)

    def with_owners(self, sets: Iterable[Owners]) -> TaskGroups:
        """With process groups for weights that some tasks own together.

        Every rank has to call this.

        Args:
            sets: the owners of the weights that this process has.
        """
        several = {owners.label for owners in sets if not owners.are_all and len(owners.named) > 1}
        made = {}
        # Each rank has to make every group, in the same order.
        for label in sorted(set().union(*self.all_gather(several))):
            owners = Owners.read(label)
            made[owners] = new_group(self.assignment.ranks_of(owners), self.timeout)
        return replace(self, owner_groups=made)

    def group_of(self, owners: Owners) -> dist.ProcessGroup | None:
        """The process group of the ranks of the owners of a weight."""
        if owners.are_all:
            return None if self.alone else dist.group.WORLD
        if len(owners.named) == 1:
            (task,) = owners.named
            return self.groups[task]
        return self.owner_groups[owners]

    def leads(self, owners: Owners) -> bool:
        """Whether this is the rank that speaks for the owners of a weight."""
        return self.assignment.leader(owners) == self.rank

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that this process works for."""
        return self.assignment.tasks_of(self.rank)

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
        parts = {
            name: part
            for name, part in (model.get('parts') or {}).items()
            if set(self.tasks).intersection(part['tasks'])
        }
        others = {task for part in parts.values() for task in part['tasks']}
        others |= {task for task, spaces in part_spaces(model).items() if spaces}
        return dict(
            model,
            tasks={task: model['tasks'][task] for task in self.tasks},
            parts=parts,
            elsewhere={task: model['tasks'][task] for task in sorted(others - {*self.tasks})},
            backbone=dict(model['backbone'], tasks=self.tasks),
            groups={task: self.groups[task] for task in self.tasks},
            batch_group=self.batch_group,
            own_group=self.own_group,
        )

    def any(self, flag: bool) -> bool:
        """Whether a flag is set on any rank."""
        if self.alone:
            return flag
        count = torch.tensor(int(flag))
        dist.all_reduce(count, group=self.objects)
        return bool(count)

    def wait(self) -> None:
        """Goes on when every rank is here."""
        self.any(False)

    def any_of(self, task: str, flag: bool) -> bool:
        """Whether a flag is set on any rank of a task of this one."""
        if self.alone:
            return flag
        flags = [False] * len(self.assignment.ranks[task])
        dist.all_gather_object(flags, flag, group=self.groups[task])
        return any(flags)
