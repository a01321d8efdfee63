"""All tasks of a deposit on images that are given: as few passes as their weights allow."""

from __future__ import annotations

import copy
from collections.abc import Collection, Generator, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement

from mdl_nas_mm.deposit import Deposit, agreeing_backbones, load_around_one
from mdl_nas_mm.deposit.configs import stored_metainfo
from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.methods.computation_sharing.running import SharingSettings
from mdl_nas_mm.methods.ecmt.runtime import ControlledModel
from mdl_nas_mm.utils.one_line import first_line

from .dense_inferencer import Segmentor
from .image_files import BadImage
from .reuse import Reuse
from .task_inferencers import (
    PERSON,
    Classifier,
    Detector,
    PoseEstimator,
    TaskInferencer,
    looks_into_boxes,
    validation_dataset,
)

INFERENCERS = dict(mmpretrain=Classifier, mmdet=Detector, mmseg=Segmentor, mmpose=PoseEstimator)


class TaskPasses:
    """The inferencers of some tasks of a deposit, and who of them shares what.

    Tasks of one backbone have one pass of images that are prepared alike, and tasks of one library
    with one pipeline have images loaded and prepared once.

    Args:
        deposit: the file.
        tasks: their names.
        device: where the models are.
        trust: see ``Deposit``.
        sharing: how tasks of one architecture, and frames, take over what others computed;
            without it each backbone computes by itself.
        controlled: the deposit's model, where its architecture is chosen; its active one answers.

    Attributes:
        reuse: who shares computation; None without ``sharing``.
        inferencers: by task, also that of ``person_task``, in the order in which they run.
        pass_groups: tasks by the backbone that they share, or have stages of in common.
        person_task: finds the boxes that top-down poses are looked for in; None without one.

    Raises:
        ValueError: see ``MultiTaskInferencer``.
    """

    def __init__(
        self,
        deposit: Deposit,
        tasks: Sequence[str],
        device: torch.device,
        trust: Collection[str] = (),
        sharing: SharingSettings | None = None,
        controlled: ControlledModel | None = None,
    ) -> None:
        for task in tasks:
            _check_task(deposit, task)
        self.person_task = _person_task(deposit, tasks)
        # Persons first, as poses are looked for in their boxes.
        names = list(dict.fromkeys((*filter(None, [self.person_task]), *tasks)))
        self.pass_groups = agreeing_backbones(deposit, names)
        self._controlled = controlled
        models: Mapping[str, BaseModel]
        if controlled is None:
            models = load_around_one(deposit, names, device)
        else:
            # All tasks have one encoder, whatever its architecture.
            models = dict(controlled.to(device).model.tasks.items())
            self.pass_groups = [tuple(names)]
        self.inferencers: dict[str, TaskInferencer] = {}
        for task in (task for group in self.pass_groups for task in group):
            info = deposit.tasks[task]
            kind = INFERENCERS[info['scope']]
            self.inferencers[task] = kind(task, info, models[task], device, trust)
        self._prepared_by = _first_alike(self.inferencers)
        self.reuse = None
        if sharing is not None:
            # A base is in a deposit before its sub-tasks.
            named = [task for task in deposit.tasks if task in self.inferencers]
            backbones = {task: models[task].backbone for task in named}
            self.reuse = Reuse(backbones, self._prepared_by, sharing)

    def predict(
        self, sources: Sequence[str | np.ndarray], label: str, video: Hashable | None = None
    ) -> list[dict[str, BaseDataElement]]:
        """Image by image the data sample of each task.

        Args:
            sources: images of one size, paths or arrays (H, W, 3), BGR.
            label: what the first of them is called in messages.
            video: of which they are the next frame; None for none.

        Raises:
            BadImage: a task has failed.
        """
        if self.reuse is None:
            return self._predict(sources, label)
        with self.reuse.images(video):
            return self._predict(sources, label)

    def _predict(
        self, sources: Sequence[str | np.ndarray], label: str
    ) -> list[dict[str, BaseDataElement]]:
        answers: dict[str, list[BaseDataElement]] = {}
        batches: dict[str, Any] = {}
        persons = None
        for group in self.pass_groups:
            with SharedPass() if len(group) > 1 else nullcontext():
                for task in group:
                    inferencer, by = self.inferencers[task], self._prepared_by[task]
                    reused = self.reuse.task(task) if self.reuse else nullcontext()
                    chosen = self._chosen(task)
                    with blamed(label, task), inferencer.lock, reused, chosen:
                        if by not in batches:
                            batches[by] = inferencer.prepare(sources, persons)
                        # Models write into what they are given.
                        answers[task] = inferencer.predict(copy.deepcopy(batches[by]))
                    if task == self.person_task:
                        persons = [inferencer.persons(sample) for sample in answers[task]]
        return [dict(zip(answers, samples)) for samples in zip(*answers.values())]

    def _chosen(self, task: str) -> AbstractContextManager:
        """Inside of the block, a task's model has the architecture that was chosen."""
        return nullcontext() if self._controlled is None else self._controlled.answering(task)


@contextmanager
def blamed(label: str, task: str) -> Generator[None]:
    """Says of which image and task an error inside the block is."""
    try:
        yield
    except Exception as error:
        reason = f'failed in task {task!r}: {type(error).__name__}: {first_line(error)}'
        raise BadImage(label, reason) from error


def _first_alike(inferencers: dict[str, TaskInferencer]) -> dict[str, str]:
    """Task -> the first one that prepares images in the same way."""
    found: dict[str, Any] = {}
    first = {}
    for task, inferencer in inferencers.items():
        preparation = inferencer.preparation
        first[task] = next((name for name in found if found[name] == preparation), task)
        found.setdefault(first[task], preparation)
    return first


def _check_task(opened: Deposit, task: str) -> None:
    opened.check_task(task)
    scope = opened.tasks[task]['scope']
    if scope not in INFERENCERS:
        raise ValueError(
            f'task {task!r} is of {scope!r}; inferencers are known of {sorted(INFERENCERS)}'
        )
    validation_dataset(task, opened.tasks[task], opened.trust)


def _person_task(opened: Deposit, tasks: Sequence[str]) -> str | None:
    """The detection task that finds the boxes of top-down poses, if there are such tasks."""
    if not any(looks_into_boxes(task, opened.tasks[task]) for task in tasks):
        return None
    for task, info in opened.tasks.items():
        if info['scope'] == 'mmdet':
            if PERSON in (stored_metainfo(task, info).get('classes') or ()):
                return task
    return None
