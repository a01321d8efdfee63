"""Upstream's visualization hooks in a joint run: each draws the tasks of its library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mmcv
import numpy as np
from mmengine.evaluator import Evaluator
from mmengine.fileio import get
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, VISUALIZERS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer

from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.utils.private import draw_into
from mdl_nas_mm.utils.registries import registered

# Hook of a library that draws what is predicted -> the library.
PICTURE_HOOKS = dict(
    VisualizationHook='mmpretrain',
    DetVisualizationHook='mmdet',
    SegVisualizationHook='mmseg',
    PoseVisualizationHook='mmpose',
)
_VISUALIZERS = dict(
    mmpretrain='UniversalVisualizer',
    mmdet='DetLocalVisualizer',
    mmseg='mdl_nas_mm.SceneVisualizer',
    mmpose='PoseLocalVisualizer',
)


def picture_library(config: Any) -> str | None:
    """The library whose tasks a hook's config draws; None where it is no such hook."""
    if not isinstance(config, Mapping) or not isinstance(config.get('type'), str):
        return None
    return PICTURE_HOOKS.get(config['type'].rpartition('.')[2])


def task_visualizer(
    task: str, scope: str, metainfo: Mapping | None, backends: Visualizer | None = None
) -> Visualizer:
    """A library's visualizer for one task.

    Args:
        task: whose name its images get.
        scope: the library.
        metainfo: classes and colours, as the task's data set says them.
        backends: whose back ends get the images; None where they go into files alone.
    """
    kind = registered(_VISUALIZERS[scope], VISUALIZERS, scope)

    class OfTask(kind):
        """Hands its images to the visualizer of the whole run."""

        def add_image(self, name: str, image: Any, step: int = 0) -> None:
            if backends is not None:
                backends.add_image(f'{task}_{name}', image, step)

    visualizer = OfTask(name=f'{task}_pictures')
    if scope == 'mmpose':
        visualizer.set_dataset_meta(metainfo)
    else:
        visualizer.dataset_meta = dict(metainfo or {})
    return visualizer


class TaskPicturesHook(Hook):
    """One of upstream's visualization hooks for every task of its library.

    It is built for each task with a visualizer of the task, when that is first evaluated. Images go
    to all back ends of the run's visualizer, as ``<task>_<name>``.

    Args:
        config: of upstream's hook.
        scope: its library.
    """

    priority = 'NORMAL'

    def __init__(self, config: Mapping[str, Any], scope: str) -> None:
        self.config, self.scope = dict(config), scope
        self.hooks: dict[str, Hook] = {}

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[BaseDataElement] | None = None,
    ) -> None:
        """Lets the task's own hook draw, with the number of the batch in the task."""
        at = runner.val_loop.at
        if at is None or runner.cfg.tasks[at.task].scope != self.scope:
            return
        if at.task not in self.hooks:
            self.hooks[at.task] = self._build(at.task, at.evaluator, runner)
        self.hooks[at.task].after_val_iter(
            _seen(runner, at.evaluator), at.index, data_batch, outputs
        )

    def _build(self, task: str, evaluator: Evaluator, runner: Runner) -> Hook:
        with task_scope(self.scope):
            hook = HOOKS.build(dict(self.config))
        meta = evaluator.dataset_meta
        draw_into(hook, task_visualizer(task, self.scope, meta, runner.visualizer))
        return hook


def draw_sample(
    visualizer: Visualizer, scope: str, sample: Any, image: np.ndarray, file: str | Path
) -> None:
    """Draws label and answer of one image into a file.

    Args:
        visualizer: of the task, see ``task_visualizer``.
        scope: its library.
        sample: upstream's data sample.
        image: (H, W, 3), RGB.
        file: PNG or JPEG; its folder is made if it is not there.
    """
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    sample = sample.cpu()
    if scope == 'mmpretrain':
        visualizer.visualize_cls(image=image, data_sample=sample, out_file=str(file))
        return
    if scope == 'mmpose':
        from mmpose.structures import merge_data_samples

        sample = merge_data_samples([sample])
    visualizer.add_datasample(Path(file).stem, image, sample, out_file=str(file))


def pixels_of(sample: BaseDataElement, batch: Mapping, place: int) -> np.ndarray:
    """The image of a data sample, (H, W, 3), RGB: its file, or what the loader has made of it.

    Args:
        sample: what was predicted.
        batch: of the loader.
        place: of the image in it.
    """
    path = sample.get('img_path')
    if path is not None:
        return mmcv.imfrombytes(get(path), channel_order='rgb')
    return batch['inputs'][place].permute(1, 2, 0).cpu().numpy().astype('uint8')


def _seen(runner: Runner, evaluator: Evaluator) -> Any:
    """What upstream's hooks ask a runner of a single task."""
    return SimpleNamespace(
        # Asked for its number, a runner that only evaluates would build its training loop.
        iter=0 if runner.step is None else runner.iter,
        epoch=0,
        train_loop=None,
        val_evaluator=evaluator,
        work_dir=runner.work_dir,
        timestamp=runner.timestamp,
    )
