"""What is the same in every step of one process: its parts of the batches, and what they count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mdl_nas_mm.tasks.data import part_of

from .assignment import RankAssignment


@dataclass(frozen=True)
class BatchPart:
    """What one rank has of one of a task's batches of a step.

    Attributes:
        batch, part, parts: see ``RankAssignment.parts``.
        weight: its share of the images of all of the task's batches of the step.
    """

    batch: int
    part: int
    parts: int
    weight: float


@dataclass(frozen=True)
class StepPlan:
    """What is the same in every step of one process.

    Attributes:
        parts: this process's tasks -> its parts of each step's batches.
        weights: task -> weight of its loss.
        shares: task -> how much it counts for shared weights; of all tasks they sum to 1.
        seed: what the randomness of upstream models is derived from.
        pass_groups: what this process has a loader of, tasks and image groups -> its pass groups,
            each of tasks that share one pass through the backbone.
    """

    parts: Mapping[str, Sequence[BatchPart]]
    weights: Mapping[str, float]
    shares: Mapping[str, float]
    seed: int
    pass_groups: Mapping[str, Sequence[tuple[str, ...]]]

    @classmethod
    def make(
        cls,
        assignment: RankAssignment,
        rank: int,
        batch_sizes: Mapping[str, int],
        weights: Mapping[str, float],
        seed: int,
        pass_groups: Mapping[str, Sequence[tuple[str, ...]]] | None = None,
    ) -> StepPlan:
        """The plan of a rank.

        Args:
            assignment: which ranks work for which tasks.
            rank: this one.
            batch_sizes: images of one batch, by task.
            weights: task -> weight of its losses.
            seed: of what is random in the passes.
            pass_groups: those of all ranks; by default each task is one.
        """
        parts: dict[str, list[BatchPart]] = {}
        for task in assignment.tasks_of(rank):
            size, count = batch_sizes[task], assignment.batches_per_step[task]
            parts[task] = []
            for batch, part, of in assignment.parts(task, rank):
                own = part_of(size, part, of)
                weight = (own.stop - own.start) / (size * count)
                parts[task].append(BatchPart(batch, part, of, weight))
        shares = {task: assignment.share(task) for task in assignment.tasks}
        pass_groups = pass_groups or {task: ((task,),) for task in assignment.tasks}
        own = {name: found for name, found in pass_groups.items() if found[0][0] in parts}
        return cls(parts, weights, shares, seed, own)
