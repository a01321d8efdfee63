"""What sub-tasks of a deposit share: densities of their layers, and scores against lambdas."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.methods.computation_sharing.running import (
    Density,
    SharedComputation,
    measure_densities,
)
from mdl_nas_mm.utils.strict_json import read_json

from .differences import base_and_sub_tasks
from .input_images import Inputs, open_inputs, read_images
from .reuse import sharing_settings
from .sub_tasks import SUMMARY
from .task_passes import TaskPasses


@dataclass(frozen=True)
class SweptTask:
    """A sub-task of one training of a sweep (Fig. 5).

    Attributes:
        folder: of the training.
        task: its name.
        lambda_w: of its gates; None where a density was given in place of it.
        lambda_a: the coefficient of its activations; None without the third stage.
        density: the part of the base's weights that differ.
        metric: the name of its score.
        score: on the validation split, as people know the metric; None where it was not
            evaluated.
    """

    folder: str
    task: str
    lambda_w: float | None
    lambda_a: float | None
    density: float
    metric: str
    score: float | None


def densities_of(
    deposit: str | Path,
    inputs: Inputs,
    threshold: float = 0.0,
    device: str | torch.device = 'cpu',
    trust: Collection[str] = (),
) -> dict[str, list[Density]]:
    """How much of each layer differs in a video: of the weights, between tasks and between frames.

    Args:
        deposit: has sub-tasks of one base.
        inputs: a video, or its frames in their order; as those of ``MultiTaskInferencer``.
        threshold: differences of single elements up to it count as none.
        device: where the models run.
        trust: see ``Deposit``.

    Returns:
        Sub-task -> its layers, in order of computation.

    Raises:
        FileNotFoundError: there is no such deposit or video.
        ValueError: no task is a difference, or there are fewer than two frames, or of two sizes.
    """
    opened = Deposit(deposit, trust)
    tasks = base_and_sub_tasks(opened)
    frames = _frames(opened, tasks[0], inputs, device)
    backbones = {task: opened.load_task(task, device).backbone for task in tasks}
    model = SharedComputation(tasks[0], backbones, sharing_settings('both', threshold))
    return measure_densities(model, frames)


class Prepare:
    """Gives what a task's backbone is given of an image, as in its validation.

    Args:
        opened: the deposit.
        task: its name.
        device: where the images go.
    """

    def __init__(self, opened: Deposit, task: str, device: str | torch.device = 'cpu') -> None:
        self._passes = TaskPasses(opened, [task], torch.device(device), opened.trust)

    def __call__(self, source: str | np.ndarray, label: str) -> Tensor:
        """(1, C, H, W) of a path, or of an array (H, W, 3), BGR, that messages call so."""
        seen = _Seen()
        with seen:
            self._passes.predict([source], label)
        return seen.images


def _frames(opened: Deposit, task: str, inputs: Inputs, device: str | torch.device) -> list[Tensor]:
    prepare, frames = Prepare(opened, task, device), []
    for image in read_images(open_inputs(inputs)):
        frames.append(prepare(image.source, image.label))
        if frames[-1].shape != frames[0].shape:
            sizes = (f'{x.shape[-2]} x {x.shape[-1]}' for x in (frames[-1], frames[0]))
            raise ValueError('{}: it is {} pixels, the first frame {}'.format(image.label, *sizes))
    return frames


def read_sweep(folders: Iterable[str | Path]) -> list[SweptTask]:
    """Sub-tasks of several trainings, with their lambdas, ordered by task and lambdas.

    Args:
        folders: work directories of ``share_computation``.

    Raises:
        FileNotFoundError: one of them has no summary.
        ValueError: a summary is none (names it).
    """
    found = []
    for folder in folders:
        path = Path(folder) / SUMMARY
        facts = read_json(path, f'{path}, what a training wrote at its end,')
        keys = ('lambda_w', 'activations', 'density', 'metric', 'score')
        try:
            found += [
                SweptTask(str(folder), task, *(own[key] for key in keys))
                for task, own in facts.items()
            ]
        except (LookupError, TypeError, AttributeError):
            raise ValueError(f'{path}: no summary of mdl-nas share-computation') from None
    return sorted(found, key=lambda each: (each.task, each.lambda_w or 0, each.lambda_a or 0))


class _Seen(SharedPass):
    """Keeps what a backbone is given."""

    images: Tensor

    def features(
        self, key: tuple, images: Tensor, compute: Callable[[Tensor], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """See ``SharedPass``."""
        self.images = images
        return compute(images)
