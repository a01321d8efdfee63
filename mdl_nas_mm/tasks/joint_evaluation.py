"""Evaluates the tasks of an image group: an image is loaded once, and run once a pass group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import count
from typing import Any, cast

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader

from mdl_nas_mm.elastic.shared_pass import SharedPass

from .classes import check_classes
from .evaluate import Evaluation, OnBatch, metrics_of, process, take_batch
from .failures import in_images
from .group_batch import GroupBatch
from .group_data import build_group_eval_loader
from .pass_groups import PassGroup, PassGroups
from .scope import task_scope
from .task import Split, Task


@dataclass(frozen=True)
class JointEvaluation:
    """One loader, and the evaluators of what is evaluated on its images.

    Attributes:
        name: of the task, or of the image group.
        tasks: task -> its own part.
        pass_groups: the tasks by who shares a pass.
        loader: of the task's batches, or of ``GroupBatch`` where there are several tasks.
    """

    name: str
    tasks: Mapping[str, Evaluation]
    pass_groups: Sequence[PassGroup]
    loader: DataLoader

    @classmethod
    def build(
        cls,
        name: str,
        pass_groups: Sequence[PassGroup],
        tasks: Mapping[str, Task],
        splits: Mapping[str, Split],
        group: dist.ProcessGroup | None = None,
    ) -> JointEvaluation:
        """Builds what tasks on the same images are evaluated with, once for many models.

        Args:
            name: of the single task, or of the image group.
            pass_groups: the tasks by who shares a pass.
            tasks: of these and perhaps others, what is known of them.
            splits: task -> its loader and its evaluator.
            group: the ranks that evaluate together, each with its part of the images.

        Raises:
            ValueError, FileNotFoundError: see ``Task.evaluation``, ``build_group_eval_loader``.
        """
        names = [task for pass_group in pass_groups for task in pass_group]
        if len(names) == 1:
            single = tasks[names[0]].evaluation(splits[names[0]], group)
            return cls(name, {names[0]: single}, pass_groups, single.loader)
        scopes = {task: tasks[task].scope for task in names}
        scorings = {task: tasks[task].scoring(splits[task]) for task in names}
        own = {task: splits[task] for task in names}
        loader = build_group_eval_loader(name, scopes, own, group)
        # Of ``NamedSamples``, which has what the joined data set has.
        joined, found = cast(Any, loader.dataset), {}
        for task in names:
            dataset, size = joined.datasets[task], joined.labelled(task)
            check_classes(task, tasks[task].model, dataset)
            given = (loader, dataset, splits[task].evaluator, size)
            found[task] = Evaluation.build(scorings[task], scopes[task], *given, group)
        return cls(name, found, pass_groups, loader)

    def evaluate(
        self,
        predict: Mapping[str, Callable[[dict], list]],
        on_batch: OnBatch | None = None,
    ) -> dict[str, dict[str, float]]:
        """The upstream metrics of each task; see ``mdl_nas_mm.tasks.evaluate``."""
        self.process(predict, on_batch)
        return self.measure(predict)

    @torch.no_grad()
    def process(
        self,
        predict: Mapping[str, Callable[[dict], list]],
        on_batch: OnBatch | None = None,
    ) -> None:
        """The first part: gives the evaluators all predictions of this process.

        Args:
            predict: task -> its model's ``val_step``, of all tasks or of some; those of a pass
                group have one backbone.
            on_batch: called for each task that has a label of any image of a batch.
        """
        if len(self.tasks) == 1:
            ((task, single),) = self.tasks.items()
            process(predict[task], single, on_batch)
            return
        for index, batch in enumerate(self._batches()):
            for pass_group in self.pass_groups:
                with SharedPass() if len(pass_group) > 1 else nullcontext():
                    for task in (task for task in pass_group if task in predict):
                        self._take(task, predict[task], index, batch.batches[task], on_batch)

    def measure(self, tasks: Iterable[str]) -> dict[str, dict[str, float]]:
        """The second part: the metrics over the predictions of all processes, for some tasks."""
        return {task: metrics_of(self.tasks[task]) for task in tasks}

    def _take(
        self,
        task: str,
        predict: Callable[[dict], list],
        index: int,
        batch: dict | None,
        on_batch: OnBatch | None,
    ) -> None:
        if batch is None:
            return
        own = self.tasks[task]
        with task_scope(own.scope, own.group):
            outputs = take_batch(predict, own, index, batch)
            if on_batch is not None:
                on_batch(task, index, batch, outputs)

    def _batches(self) -> Iterator[GroupBatch]:
        batches = iter(self.loader)
        for number in count():
            with in_images(self.name, f'evaluation, batch {number}'):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


def joint_evaluations(
    tasks: Mapping[str, Task],
    splits: Mapping[str, Split],
    pass_groups: PassGroups,
    groups: Mapping[str, dist.ProcessGroup | None] | None = None,
) -> dict[str, JointEvaluation]:
    """Task, or image group -> what it is evaluated with.

    Args:
        tasks: all tasks of a config.
        splits: task -> what it is evaluated on, of those to evaluate; all of a group or none.
        pass_groups: of the config.
        groups: task -> process group of its ranks.
    """
    return {
        name: JointEvaluation.build(name, own, tasks, splits, (groups or {}).get(own[0][0]))
        for name, own in pass_groups.of.items()
        if own[0][0] in splits
    }
