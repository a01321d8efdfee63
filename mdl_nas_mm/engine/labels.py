"""How many images of a step have which label, on all processes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from mmengine.device import get_device
from torch import nn

from mdl_nas_mm.tasks import MultiTaskModel
from mdl_nas_mm.tasks.group_batch import GroupBatch

from .groups import TaskGroups


@dataclass(frozen=True)
class Labelled:
    """What a step has of one task's labels.

    Attributes:
        images: those that have it, of all processes.
        in_all_parts: whether each part of this process's batch has one.
    """

    images: int
    in_all_parts: bool = True


def count_labels(
    batches: Mapping[str, Sequence[dict | GroupBatch]],
    ranks: TaskGroups | None = None,
    synchronised: Collection[str] = (),
) -> dict[str, Labelled]:
    """The labels of the tasks of image groups, counted over the processes of each group.

    Args:
        batches: task or image group -> this process's parts of a step, at least one.
        ranks: how it reaches the others; None for a single process.
        synchronised: tasks with batch norms that wait for each other; see ``synchronised``.

    Raises:
        ValueError: one of these would wait for a pass that another process does not have.
    """
    found: dict[str, Labelled] = {}
    for parts in batches.values():
        groups = [part for part in parts if isinstance(part, GroupBatch)]
        if groups:
            tasks = tuple(groups[0].places)
            places = [[group.places[task] for group in groups] for task in tasks]
            own = [(sum(map(len, of_task)), sum(map(bool, of_task))) for of_task in places]
            found |= _over_processes(tasks, own, ranks, synchronised)
    return found


def _over_processes(
    tasks: Sequence[str],
    own: Sequence[tuple[int, int]],
    ranks: TaskGroups | None,
    synchronised: Collection[str],
) -> dict[str, Labelled]:
    """What is counted of all processes that the tasks have together.

    Args:
        own: for each task this process's labelled images, and its parts that have any.
    """
    if ranks is None or ranks.alone or len(ranks.assignment.ranks[tasks[0]]) == 1:
        return {task: Labelled(images) for task, (images, _) in zip(tasks, own)}
    members = ranks.assignment.ranks[tasks[0]]
    counts = torch.zeros(len(members), len(tasks), 2, dtype=torch.int64, device=get_device())
    counts[members.index(ranks.rank)] = torch.tensor(own, device=counts.device)
    dist.all_reduce(counts, group=ranks.groups[tasks[0]])
    images, parts = counts.cpu().unbind(-1)
    for task, of_ranks in zip(tasks, parts.T.tolist()):
        if task in synchronised and len(set(of_ranks)) > 1:
            raise ValueError(without_sync(task))
    sharers = [members.index(rank) for rank in ranks.assignment.batch_ranks(ranks.rank)]
    in_all = (images[sharers] > 0).all(0).tolist()
    return {task: Labelled(*each) for task, *each in zip(tasks, images.sum(0).tolist(), in_all)}


def synchronised(model: MultiTaskModel, ranks: TaskGroups) -> list[str]:
    """This process's tasks whose batch norms exchange their statistics with other processes."""
    return [
        task
        for task in ranks.tasks
        if len(ranks.assignment.ranks[task]) > 1
        and any(isinstance(module, nn.SyncBatchNorm) for module in model.tasks[task].modules())
    ]


def without_sync(task: str) -> str:
    """Why a task cannot have synchronised batch norms."""
    return (
        f'task {task!r}: SyncBN needs as many batches with its labels on each rank, and some '
        "images have none; use another norm, norm_cfg=dict(type='GN', num_groups=32) say"
    )
