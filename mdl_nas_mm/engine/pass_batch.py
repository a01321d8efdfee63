"""A batch of the tasks that share a pass, and how much each of them counts in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.tasks.group_batch import GroupBatch

from .labels import Labelled
from .plan import BatchPart


@dataclass(frozen=True)
class PassBatch:
    """What a process has of one batch of a pass group, of a task or of several on the same images.

    Attributes:
        part: which part of which batch it is.
        batches: the group's tasks -> their samples, in the group's order; without those that have
            no label of any of the images.
        weights: task -> its share of the images with its label in the step, on all processes.
        places: task -> the places of its images among those of the batch; of several tasks.
        apart: tasks that have no label in another process's part of the batch.
    """

    part: BatchPart
    batches: Mapping[str, dict]
    weights: Mapping[str, float]
    places: Mapping[str, Sequence[int]] = field(default_factory=dict)
    apart: Collection[str] = ()

    @classmethod
    def of(
        cls,
        group: Sequence[str],
        part: BatchPart,
        batch: dict | GroupBatch,
        labelled: Mapping[str, Labelled],
    ) -> PassBatch:
        """From what a loader has given, of a task or of an image group.

        Args:
            group: its tasks.
            part: which part of which batch of the step it is.
            batch: as the loader gave it.
            labelled: of the tasks of image groups; see ``count_labels``.
        """
        if not isinstance(batch, GroupBatch):
            return cls(part, {group[0]: batch}, {group[0]: part.weight})
        found: dict[str, dict] = {}
        weights, apart = {}, []
        for task in group:
            own = batch.batches[task]
            if own is not None:
                found[task] = own
                weights[task] = len(batch.places[task]) / labelled[task].images
                apart += [] if labelled[task].in_all_parts else [task]
        return cls(part, found, weights, {task: batch.places[task] for task in found}, apart)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that have a loss in it; the first one leads."""
        return tuple(self.batches)

    def subnets(self, specs: Mapping[str, Sequence[SubnetSpec]]) -> list[dict[str, SubnetSpec]]:
        """The passes over it, one after the other: each task -> its subnet.

        Args:
            specs: task -> its subnets, in the order of the passes; see ``tied``.
        """
        rows = zip(*(specs[task] for task in self.tasks), strict=True)
        return [dict(zip(self.tasks, row)) for row in rows]
