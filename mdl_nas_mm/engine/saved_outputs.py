"""What a validation has predicted, saved: drawings and files of predictions of every task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.evaluator import DumpResults
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer

from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.utils.unique_name import unique_name

from .task_pictures import draw_sample, pixels_of, task_visualizer
from .validation import MultiTaskValLoop


def dump_predictions(loop: MultiTaskValLoop, folder: str | Path) -> None:
    """Lets a validation write every task's data samples into ``<folder>/<task>.pkl``.

    Each is a list of dicts, as ``--out`` of upstream's tools/test.py writes them.

    Args:
        loop: of the joint runner.
        folder: where the files go.
    """
    for evaluation in loop.evaluations.values():
        for task, own in evaluation.tasks.items():
            with task_scope(own.scope, own.group):
                own.evaluator.metrics.append(DumpResults(str(Path(folder) / f'{task}.pkl')))


class DrawnFilesHook(Hook):
    """Every image of a validation with every task's label and answer: ``<folder>/<task>/<image>``.

    An image that is there several times, as one with several persons, or another of the same name,
    is drawn each time: ``<image>_1`` and so on.

    Args:
        folder: where the drawings go.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._visualizers: dict[str, Visualizer] = {}
        self._drawn: dict[str, set[str]] = {}

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[BaseDataElement] | None = None,
    ) -> None:
        """Draws the images of one batch of one task."""
        at = runner.val_loop.at
        if at is None:
            return
        scope = runner.cfg.tasks[at.task].scope
        if at.task not in self._visualizers:
            self._visualizers[at.task] = task_visualizer(at.task, scope, at.evaluator.dataset_meta)
        for place, sample in enumerate(outputs or ()):
            path = sample.get('img_path')
            name = Path(path).stem if path else f'{at.index:06}_{place:03}'
            image = pixels_of(sample, data_batch, place)
            name = unique_name(name, self._drawn.setdefault(at.task, set()), first=1)
            file = self.folder / at.task / f'{name}.png'
            draw_sample(self._visualizers[at.task], scope, sample, image, file)
