"""Scores of a deposit's tasks that share computation, and thresholds that keep them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.methods.computation_sharing.running import (
    SharedComputation,
    SharingSettings,
    State,
    by_task,
)
from mdl_nas_mm.methods.computation_sharing.thresholds import block_differences, choose_thresholds
from mdl_nas_mm.tasks import JointEvaluation, Task, build_eval_loader
from mdl_nas_mm.tasks.task import Split
from mdl_nas_mm.utils.amounts import check_at_least

from .differences import base_and_sub_tasks

# So many images say which rows differ, and by how much.
FITTED = 32


class SharedModels(SharedPass):
    """Models of tasks whose backbones are one ``SharedComputation`` inside of it.

    Args:
        deposit: where the tasks are.
        tasks: the base first.
        settings: what is shared.
        images: batches of preprocessed images that gates are fitted to; the first that come if
            there are none.

    Attributes:
        models: task -> its upstream model.
        shared: the backbones.
        state: what the last frame left.
        work: ``executed``, ``counted`` and ``whole`` multiply-adds of what was predicted.
    """

    def __init__(
        self,
        deposit: Deposit,
        tasks: Sequence[str],
        settings: SharingSettings,
        images: Sequence[Tensor] = (),
    ) -> None:
        super().__init__()
        self.models = {task: deposit.load_task(task) for task in tasks}
        backbones = {task: model.backbone for task, model in self.models.items()}
        self.shared = SharedComputation(tasks[0], backbones, settings)
        if self.shared.needs_gates and images:
            # One pass has images of one size.
            alike = [each for each in images if each.shape[1:] == images[0].shape[1:]]
            self.shared.fit_gates(torch.cat(alike))
        self.state: State | None = None
        self.work = dict.fromkeys(('executed', 'counted', 'whole'), 0.0)
        self._task, self._images = tasks[0], torch.empty(0)
        self._outputs: dict[str, tuple[Tensor, ...]] = {}

    def features(
        self, key: tuple, images: Tensor, compute: Callable[[Tensor], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """See ``SharedPass``."""
        if images is not self._images:
            self.advance(images)
        return self._outputs[self._task]

    def advance(self, images: Tensor) -> None:
        """All backbones on the next frame, (B, C, H, W), preprocessed."""
        if self.shared.needs_gates:
            self.shared.fit_gates(images)
        state = self.state if self.shared.settings.shares_frames else None
        self._outputs, self.state = self.shared(images, state)
        self._images = images

    def run(self, images: Tensor) -> None:
        """All tasks with their heads on the next frame; see ``advance``."""
        with self:
            for task, model in self.models.items():
                self._task = task
                model(images, mode='tensor')

    def predict(self, task: str, batch: dict) -> list:
        """A task's predictions of the next batch of its loader; those of one task alone."""
        self._task = task
        with self:
            predictions = self.models[task].val_step(batch)
        assert self.state is not None
        work = by_task(self.state.work)[task]
        for key in self.work:
            self.work[key] += getattr(work, key)
        return predictions


def score_and_metrics(
    deposit: Deposit, task: str, models: SharedModels | None = None, **data: Any
) -> tuple[float, dict[str, float], bool]:
    """A task's score on its validation split, all metrics, and whether more of the score is better.

    Args:
        deposit: the file.
        task: its name.
        models: computes its features; by default it runs alone.
        data: other settings of the data set; ``batch_size`` of the loader.
    """
    split = Split(_loader(deposit, task, **data), deposit.validation(task)[1])
    known = Task.of_deposit(task, deposit.tasks[task], split)
    evaluation = JointEvaluation.build(task, ((task,),), {task: known}, {task: split})
    if models is None:
        predict: Callable[[dict], list] = deposit.load_task(task).val_step
    else:
        predict = lambda batch: models.predict(task, batch)  # noqa: E731
    metrics = evaluation.evaluate({task: predict})[task]
    scoring = evaluation.tasks[task].scoring
    return scoring.score(metrics), metrics, scoring.greater


def images_of(deposit: Deposit, task: str, most: int | None = None, **data: Any) -> list[Tensor]:
    """Batches of a task's validation images as its backbone is given them, (B, C, H, W).

    Args:
        deposit, task, data: see ``score_and_metrics``.
        most: how many images, at most; all by default.
    """
    prepare = deposit.load_task(task).data_preprocessor
    loader = build_eval_loader(task, deposit.tasks[task]['scope'], _loader(deposit, task, **data))
    found: list[Tensor] = []
    for batch in loader:
        left = None if most is None else most - sum(map(len, found))
        if left == 0:
            break
        found.append(prepare(batch, False)['inputs'][:left])
    return found


def thresholds_for(
    deposit: str | Path,
    loss: float,
    data: Mapping[str, Any] | None = None,
    tasks: Sequence[str] = (),
    steps: int = 8,
    trust: Collection[str] = (),
) -> dict[str, list[float]]:
    """Thresholds of blocks with which no sub-task's score falls by more than a part of it.

    Args:
        deposit: has sub-tasks of one base.
        loss: percent of the score that may be lost.
        data: settings of the validation's data set that make it one of images set aside, such as
            ``dict(ann_file='gt_sets/search.txt')``.
        tasks: sub-tasks; by default all.
        steps: see ``choose_thresholds``.
        trust: see ``Deposit``.

    Returns:
        Sub-task -> a threshold a block, as ``threshold`` of ``SharingSettings`` takes them.

    Raises:
        FileNotFoundError: there is no such deposit.
        ValueError: no task is a difference, the loss is negative, or a task cannot be scored.
    """
    check_at_least(loss, 0, 'loss in percent')
    opened, data = Deposit(deposit, trust), dict(data or {})
    base, *subs = base_and_sub_tasks(opened)
    for task in tasks:
        if task not in subs:
            raise ValueError(f'deposit {deposit}: {task!r} is none of its sub-tasks, {subs}')
    return {task: _of_task(opened, base, task, loss, data, steps) for task in tasks or subs}


def _of_task(
    opened: Deposit, base: str, task: str, loss: float, data: dict[str, Any], steps: int
) -> list[float]:
    images = images_of(opened, task, FITTED, **data)
    theirs, ours = (opened.load_task(each).backbone for each in (base, task))
    exact, _, greater = score_and_metrics(opened, task, **data)

    def score(thresholds: list[float]) -> float:
        settings = SharingSettings('tasks', threshold={task: thresholds}, attention='queries')
        models = SharedModels(opened, (base, task), settings, images)
        found = score_and_metrics(opened, task, models, **data)[0]
        return found if greater else -found

    differences = block_differences(theirs, ours, images)
    return choose_thresholds(differences, score, loss / 100 * abs(exact), steps)[0]


def _loader(deposit: Deposit, task: str, batch_size: int | None = None, **data: Any) -> dict:
    loader = copy.deepcopy(dict(deposit.validation(task)[0]))
    loader['dataset'] = dict(loader['dataset'], **data)
    return loader if batch_size is None else dict(loader, batch_size=batch_size)
