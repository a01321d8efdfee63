"""Which ranks work for which task, and what of its batches each has.

Every rank works for one task or one image group, or, where there are fewer ranks than these, for
several in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mdl_nas_mm.spec import Owners


@dataclass(frozen=True)
class RankAssignment:
    """The ranks of each task, and how much each task counts.

    Attributes:
        ranks: task -> its ranks, ascending.
        batches_per_step: task -> how many batches of the configured size make up its part of one
            step. It is a setting of the training, not of the machine: any number of ranks
            shares them.
    """

    ranks: Mapping[str, tuple[int, ...]]
    batches_per_step: Mapping[str, int]

    @property
    def tasks(self) -> tuple[str, ...]:
        """All tasks."""
        return tuple(self.ranks)

    def tasks_of(self, rank: int) -> tuple[str, ...]:
        """The tasks that a rank works for."""
        return tuple(task for task, ranks in self.ranks.items() if rank in ranks)

    def ranks_of(self, owners: Owners) -> tuple[int, ...]:
        """The ranks that work for any of the owners of a weight, ascending."""
        ranks = {rank for task in owners.among(self.tasks) for rank in self.ranks[task]}
        return tuple(sorted(ranks))

    def leader(self, owners: Owners) -> int:
        """The rank that speaks for the owners of a weight: the first of the first of them."""
        return 0 if owners.are_all else self.ranks[owners.among(self.tasks)[0]][0]

    def share(self, task: str) -> float:
        """How much a task counts in the mean gradient of shared weights.

        With one batch a rank this is the paper's mean over all ranks.
        """
        return self.batches_per_step[task] / sum(self.batches_per_step.values())

    def parts(self, task: str, rank: int) -> list[tuple[int, int, int]]:
        """What a rank has of a task's batches of one step.

        Returns:
            (batch, part, parts): part number ``part`` of ``parts`` equal ones of a batch.
        """
        ranks, batches = self.ranks[task], self.batches_per_step[task]
        place, count = ranks.index(rank), len(ranks)
        if count <= batches:
            first, end = place * batches // count, (place + 1) * batches // count
            return [(batch, 0, 1) for batch in range(first, end)]
        others = self.batch_ranks(rank)
        return [(place * batches // count, others.index(rank), len(others))]

    def batch_ranks(self, rank: int) -> list[int]:
        """The ranks that have parts of the same batch; one that has whole batches is alone."""
        task = self.tasks_of(rank)[0]
        ranks, batches = self.ranks[task], self.batches_per_step[task]
        if len(ranks) <= batches:
            return [rank]
        batch_of = {other: place * batches // len(ranks) for place, other in enumerate(ranks)}
        return [other for other in ranks if batch_of[other] == batch_of[rank]]

    def __str__(self) -> str:
        total = sum(self.batches_per_step.values())
        lines = ['task      ranks               batches a step  counts']
        for task, ranks in self.ranks.items():
            span = str(ranks[0]) if len(ranks) == 1 else f'{ranks[0]} to {ranks[-1]}'
            count = f'{self.batches_per_step[task]}/{total}'
            lines.append(f'{task:<10}{span:<20}{self.batches_per_step[task]:<16}{count}')
        return '\n'.join(lines)


def assign_ranks(
    tasks: Sequence[str],
    batches: Mapping[str, int] | None,
    world_size: int,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> RankAssignment:
    """Assigns ranks to tasks in proportion to the batches of their steps.

    The tasks of an image group have the same batches, so they have the same ranks.

    Args:
        tasks: all tasks, in the order of their names.
        batches: ``batches_per_step`` of a ``RankAssignment``, or for an image group, by its name,
            that of each of its tasks; one for each task by default.
        world_size: number of ranks; with fewer than tasks, a rank has several.
        groups: name of an image group -> its tasks.

    Raises:
        ValueError: the counts are not of exactly these tasks, not whole and positive, or not the
            same for the tasks of an image group.
    """
    groups = groups or {}
    batches = _by_task(batches or dict.fromkeys(tasks, 1), groups)
    for task in (*tasks, *batches):
        if task not in batches or task not in tasks:
            raise ValueError(
                f'groups: they are of {sorted(batches)}, the tasks are {sorted(tasks)}'
            )
    for task, count in batches.items():
        if not isinstance(count, int) or count < 1:
            raise ValueError(f'groups: {task} has {count!r}, expected a whole number from 1')
    for name, members in groups.items():
        if len({batches[task] for task in members}) > 1:
            said = ', '.join(f'{task}={batches[task]}' for task in members)
            raise ValueError(
                f'groups: {said}, but these tasks have the same images and so the same batches; '
                f'write {name}=... for all of them'
            )
    leads = _leads(tasks, groups)
    ranks = _ranks_of_leads({task: batches[task] for task in leads.values()}, world_size)
    batches = {task: batches[task] for task in tasks}
    return RankAssignment({task: ranks[lead] for task, lead in leads.items()}, batches)


def assign_scoring(
    tasks: Sequence[str],
    batches: Mapping[str, int] | None,
    world_size: int,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> RankAssignment:
    """As ``assign_ranks``, for what only scores architectures.

    With fewer ranks than tasks each rank works for all: one task may take most of the time, which
    is not known before, and a task's architectures can be split where its batches cannot.
    """
    found = assign_ranks(tasks, batches, world_size, groups)
    if world_size < len(set(_leads(tasks, groups or {}).values())):
        return replace(found, ranks=dict.fromkeys(found.ranks, tuple(range(world_size))))
    return found


def _leads(tasks: Sequence[str], groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Task -> the first task of its image group, itself where it is in none."""
    leads = {task: members[0] for members in groups.values() for task in members}
    return {task: leads.get(task, task) for task in tasks}


def _by_task(batches: Mapping[str, int], groups: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """What is said of an image group, said of each of its tasks."""
    found: dict[str, int] = {}
    for name, count in batches.items():
        for task in groups.get(name, (name,)):
            if task in found:
                (images,) = (each for each, members in groups.items() if task in members)
                raise ValueError(
                    f'groups: {task} is there by its own name and by that of its images, {images}'
                )
            found[task] = count
    return found


def _ranks_of_leads(batches: Mapping[str, int], world_size: int) -> dict[str, tuple[int, ...]]:
    """Ranks of tasks, or of image groups by their first tasks."""
    if world_size < len(batches):
        return _several_a_rank(batches, world_size)
    counts = dict.fromkeys(batches, 1)
    for _ in range(world_size - len(batches)):
        neediest = max(batches, key=lambda task: (batches[task] / counts[task], -counts[task]))
        counts[neediest] += 1
    ranks, start = {}, 0
    for task, count in counts.items():
        ranks[task] = tuple(range(start, start + count))
        start += count
    return ranks


def _several_a_rank(batches: Mapping[str, int], world_size: int) -> dict[str, tuple[int, ...]]:
    """One rank each, the largest first on the rank that has least to do."""
    loads, owner = [0] * world_size, {}
    for task in sorted(batches, key=lambda task: -batches[task]):
        owner[task] = loads.index(min(loads))
        loads[owner[task]] += batches[task]
    return {task: (owner[task],) for task in batches}
