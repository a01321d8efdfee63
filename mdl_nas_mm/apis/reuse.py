"""Tasks of a deposit, and frames of a video, that take over what others computed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Generator, Hashable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mdl_nas_mm.elastic.backbone import ElasticBackbone, of_task
from mdl_nas_mm.elastic.shared_pass import SharedPass, no_shared_pass
from mdl_nas_mm.methods.computation_sharing.running import (
    SharedComputation,
    SharingSettings,
    State,
    by_task,
)
from mdl_nas_mm.methods.computation_sharing.running.parts import check_alike
from mdl_nas_mm.utils.amounts import check_at_least
from mdl_nas_mm.utils.strict_json import read_json
from mdl_nas_mm.utils.task_names import check_tasks


@dataclass(frozen=True)
class Saved:
    """What computation sharing has saved so far.

    Attributes:
        passes: images, or batches of them, that were computed.
        key_frames: those of them that took over nothing of a frame before.
        executed: task -> multiply-adds of its backbone, over those that it takes alone.
    """

    passes: int
    key_frames: int
    executed: Mapping[str, float]

    def __str__(self) -> str:
        tasks = ', '.join(f'{task} {part:.0%}' for task, part in self.executed.items())
        return (
            f'computation sharing: {self.passes} passes, {self.key_frames} of them without a '
            f'frame before; multiply-adds over those of the backbones alone: {tasks}'
        )


# Task -> a threshold a block.
Thresholds = Mapping[str, Sequence[float]]


def sharing_settings(
    reuse: str,
    threshold: float,
    thresholds: Thresholds | str | Path | None = None,
    tasks: Collection[str] = (),
) -> SharingSettings:
    """What an inferencer's arguments mean.

    Args:
        reuse: ``'tasks'``, ``'frames'`` or ``'both'``.
        threshold: 0 is exact; above, rows that do not change keep what they attended to.
        thresholds: between tasks, or the path of a file of them, in place of the threshold, which
            then is one between frames and that of tasks that are not named.
        tasks: all of them.

    Raises:
        FileNotFoundError, ValueError: the threshold is negative, there are thresholds of another
            task, or see ``read_thresholds``.
    """
    if isinstance(thresholds, (str, Path)):
        thresholds = read_thresholds(thresholds)
    check_at_least(threshold, 0, 'threshold is')
    own = dict(thresholds or {})
    check_tasks('thresholds', own, tasks)
    return SharingSettings(
        reuse,
        threshold=dict.fromkeys(tasks, threshold) | own if own else threshold,
        frame_threshold=threshold,
        attention='queries' if threshold or own else 'exact',
    )


def read_thresholds(path: str | Path) -> Thresholds:
    """Thresholds of tasks in a JSON file, as ``mdl-nas sharing-report`` writes them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is something else.
    """
    found = read_json(path, f'thresholds {path}')
    if not isinstance(found, dict) or not all(map(_are_numbers, found.values())):
        raise ValueError(f'thresholds {path}: expected a list of a number a block of each task')
    return found


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(each) in (int, float) for each in values)


class Reuse:
    """Who of some tasks shares computation, and what the frame before left.

    Tasks whose backbones have one architecture and that are given the same images are a group;
    its first task is the base. Backbones that do not compute row by row run as they are. Threads
    take their turns.

    Args:
        backbones: task -> backbone, in the order in which the tasks run.
        prepared_by: task -> the task whose images it is given.
        settings: what is reused.
    """

    def __init__(
        self,
        backbones: Mapping[str, nn.Module],
        prepared_by: Mapping[str, str],
        settings: SharingSettings,
    ) -> None:
        self._lock, self._runs = threading.RLock(), {}
        groups: list[dict[str, ElasticBackbone]] = []
        for task, backbone in backbones.items():
            if isinstance(backbone, ElasticBackbone) and _runs_by_rows(backbone):
                fitting = (each for each in groups if _fits(each, prepared_by, task, backbone))
                group = next(fitting, None)
                if group is None:
                    groups.append(group := {})
                group[task] = backbone
        for group in groups:
            if len(group) > 1 or settings.shares_frames:
                run = _Run(SharedComputation(next(iter(group)), group, settings))
                self._runs.update(dict.fromkeys(group, run))

    @contextmanager
    def images(self, video: Hashable | None) -> Generator[None]:
        """Around the predictions of all tasks for the same images.

        Args:
            video: of which they are the next frame; None for none.
        """
        with self._lock:
            for run in self._runs.values():
                run.begin(video)
            yield

    @contextmanager
    def task(self, task: str) -> Generator[None]:
        """Around a task's prediction: its backbone gets what the group computed."""
        if task not in self._runs:
            yield
            return
        with _OfTask(self._runs[task], task):
            yield

    def saved(self) -> Saved:
        """Of all tasks, so far."""
        runs = list(dict.fromkeys(self._runs.values()))
        executed = {
            task: run.executed[task] / run.whole[task] for run in runs for task in run.whole
        }
        passes, keys = (sum(getattr(run, key) for run in runs) for key in ('passes', 'key_frames'))
        return Saved(passes, keys, executed)


class _OfTask(SharedPass):
    """Gives a backbone that is entered the features of its group's pass."""

    def __init__(self, run: _Run, task: str) -> None:
        super().__init__()
        self._run, self._task = run, task

    def features(
        self, key: tuple, images: Tensor, compute: Callable[[Tensor], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """See ``SharedPass``; other images than the group's first are computed plainly."""
        found = self._run.features(self._task, images)
        return compute(images) if found is None else found


class _Run:
    """A group's model and state, and what it computed of the images that are looked at now."""

    def __init__(self, model: SharedComputation) -> None:
        self.model = model
        self.passes = self.key_frames = 0
        self.executed: Counter[str] = Counter()
        self.whole: Counter[str] = Counter()
        self._video: Hashable | None = None
        self._state: State | None = None
        self._images: Tensor | None = None
        self._features: dict[str, tuple[Tensor, ...]] = {}

    def begin(self, video: Hashable | None) -> None:
        """New images come."""
        if video is None or video is not self._video:
            self._state = None
        self._video, self._images, self._features = video, None, {}

    def features(self, task: str, images: Tensor) -> tuple[Tensor, ...] | None:
        """A task's features; None of images that are not those of the group."""
        if self._images is None:
            self._compute(images)
        known = self._images
        assert known is not None
        return self._features[task] if torch.equal(images, known) else None

    def _compute(self, images: Tensor) -> None:
        model = self.model
        if model.needs_gates:
            model.fit_gates(images)
        state = self._state
        if state is not None and state.size != tuple(images.shape):
            state = None
        # Where nothing is taken over, it runs the tasks' backbones.
        with no_shared_pass():
            self._features, self._state = model(images, state)
        # Models may write into what they are given.
        self._images = images.clone()
        self.passes += 1
        self.key_frames += self._state.is_key
        for task, totals in by_task(self._state.work).items():
            self.executed[task] += totals.executed
            self.whole[task] += totals.whole
        if self._video is None:
            self._state = None


def _runs_by_rows(backbone: ElasticBackbone) -> bool:
    """Whether it can compute some rows alone: not with a task's convolutions between blocks."""
    settings = backbone.family.task_settings.items()
    return backbone.family.row_steps is not None and not any(
        setting.gives_weights(of_task(getattr(backbone, key), backbone.task, key))
        for key, setting in settings
        if setting.owns
    )


def _fits(
    group: Mapping[str, ElasticBackbone],
    prepared_by: Mapping[str, str],
    task: str,
    backbone: ElasticBackbone,
) -> bool:
    first, base = next(iter(group.items()))
    if prepared_by[first] != prepared_by[task]:
        return False
    try:
        check_alike(base, task, backbone)
    except ValueError:
        return False
    return True
