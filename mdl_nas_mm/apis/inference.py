"""All tasks of a deposit on images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import mmcv
import mmengine
import numpy as np
import torch
from mmengine.device import get_device
from mmengine.structures import BaseDataElement
from rich.progress import track

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.utils.device import usable_device

from .input_images import InputImage, Inputs, count_images, open_inputs, read_images
from .task_inferencers import (
    INFERENCERS,
    PERSON,
    TaskInferencer,
    dataset_metainfo,
    looks_into_boxes,
)


class MultiTaskInferencer:
    """Every task's upstream result and its drawing, called like upstream's inferencers.

    Images are prepared as in each task's validation. Poses that are estimated top-down need
    boxes: they are those of persons that the deposit's first detection task with a class
    ``person`` finds, which runs for that even where it is not among ``tasks``; the whole image
    where there is no such task, or it finds nobody.

    Args:
        deposit: the file.
        tasks: names; by default all.
        device: by default a GPU if there is one.
        show_progress: whether to show a progress bar.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the deposit has no such task, or was altered; or no inferencer of a task's
            library is known.
    """

    def __init__(
        self,
        deposit: str | Path,
        tasks: Sequence[str] | None = None,
        device: str | torch.device | None = None,
        show_progress: bool = True,
    ) -> None:
        opened = Deposit(deposit)
        self.tasks = tuple(opened.tasks if tasks is None else tasks)
        for task in self.tasks:
            _check_task(opened, task)
        self.show_progress = show_progress
        self.person_task = _person_task(opened, self.tasks)
        device = usable_device(device or get_device())
        # Persons first, as poses are looked for in their boxes.
        names = dict.fromkeys((*filter(None, [self.person_task]), *self.tasks))
        self.inferencers: dict[str, TaskInferencer] = {}
        for task in names:
            info = opened.tasks[task]
            model = opened.load_task(task, device)
            self.inferencers[task] = INFERENCERS[info['scope']](task, info, model, device)

    def __call__(
        self, inputs: Inputs, batch_size: int = 1, return_vis: bool = False, **settings: Any
    ) -> dict[str, dict[str, list]]:
        """The results of all images at once.

        Args:
            inputs: see ``stream``, which takes long videos as well: here all results of a call
                are in memory together.
            batch_size: images that go through a model together, as far as they are of one size.
            return_vis: whether to return drawings.
            settings: see ``stream``.

        Returns:
            Task -> ``predictions`` and, with ``return_vis``, ``visualization``, lists of one
            entry an image.
        """
        results = {task: dict(predictions=[], visualization=[]) for task in self.tasks}
        for answers in self.stream(inputs, batch_size, return_vis, **settings):
            for task, (prediction, drawing) in answers.items():
                results[task]['predictions'].append(prediction)
                if return_vis:
                    results[task]['visualization'].append(drawing)
        return results

    def stream(
        self,
        inputs: Inputs,
        batch_size: int = 1,
        return_vis: bool = False,
        show: bool = False,
        wait_time: float = 0,
        no_save_vis: bool = False,
        no_save_pred: bool = False,
        pred_score_thr: float = 0.3,
        return_datasamples: bool = False,
        out_dir: str | Path = '',
    ) -> Iterator[dict[str, tuple[Any, np.ndarray | None]]]:
        """The results of one image after the other.

        Args:
            inputs: an array (height, width, 3) of uint8, BGR; the path of an image, of a folder
                of images, or of a video, of which every frame is taken; or a list of these.
            batch_size: images that are read together; those of one size go through a model
                together.
            return_vis: whether to return drawings.
            show: whether to show drawings in a window.
            wait_time: for how many seconds each; 0 is until a key is pressed.
            no_save_vis: whether to write no drawings into ``out_dir``.
            no_save_pred: whether to write no predictions into ``out_dir``.
            pred_score_thr: lowest score of the objects and key points that are drawn.
            return_datasamples: whether predictions are upstream's data samples. Otherwise they
                are what upstream's inferencers return: of mmdet and mmpretrain a dict, of mmseg
                the array of labels, of mmpose a list of one dict a person.
            out_dir: where drawings go, ``vis/<task>``, with one picture of all tasks beside
                each other in ``vis``, and predictions, ``preds/<task>``; nowhere by default.

        Yields:
            For each image task -> prediction and drawing: (height, width, 3), RGB, None unless
            asked for.

        Raises:
            FileNotFoundError: there is no such image or folder.
            ValueError: an image cannot be read, there are none, or ``batch_size`` is below 1.
        """
        if batch_size < 1:
            raise ValueError(f'batch_size is {batch_size}; it has to be at least 1')
        sources = open_inputs(inputs)
        images: Iterator[InputImage] = read_images(sources)
        if self.show_progress:
            images = iter(track(images, 'Inference', total=count_images(sources)))
        vis_dir = Path(out_dir, 'vis') if out_dir and not no_save_vis else None
        pred_dir = Path(out_dir, 'preds') if out_dir and not no_save_pred else None
        for image, samples in self._predict(images, batch_size):
            predictions, drawings = {}, dict.fromkeys(self.tasks)
            for task in self.tasks:
                inferencer = self.inferencers[task]
                with task_scope(inferencer.scope):
                    predictions[task] = inferencer.prediction(samples[task])
                    if return_vis or show or vis_dir:
                        drawings[task] = inferencer.draw(
                            image.pixels,
                            samples[task],
                            pred_score_thr,
                            show=show,
                            wait_time=wait_time,
                        )
            if vis_dir:
                _save_drawings(vis_dir, image, drawings)
            if pred_dir:
                _save_predictions(pred_dir, image.name, predictions)
            answers = samples if return_datasamples else predictions
            yield {task: (answers[task], drawings[task]) for task in self.tasks}

    def _predict(
        self, images: Iterator[InputImage], batch_size: int
    ) -> Iterator[tuple[InputImage, dict[str, BaseDataElement]]]:
        """Every image with its data sample of every task."""
        while batch := list(itertools.islice(images, batch_size)):
            samples = {}
            for group in _by_size(batch):
                for image, *answers in zip(group, *self._answers(group)):
                    samples[image.name] = dict(zip(self.inferencers, answers))
            for image in batch:
                yield image, samples[image.name]

    def _answers(self, group: Sequence[InputImage]) -> list[list[BaseDataElement]]:
        """Of every task the data samples of images of one size."""
        sources = [image.source for image in group]
        answers, persons = [], None
        for task, inferencer in self.inferencers.items():
            with task_scope(inferencer.scope):
                answers.append(inferencer.predict(sources, persons))
            if task == self.person_task:
                persons = [inferencer.persons(sample) for sample in answers[-1]]
        return answers


def _by_size(batch: Sequence[InputImage]) -> list[list[InputImage]]:
    """Upstream's classifiers and segmentors take batches of one size, detectors pad others."""
    groups: dict[tuple[int, ...], list[InputImage]] = {}
    for image in batch:
        groups.setdefault(image.pixels.shape, []).append(image)
    return list(groups.values())


def _check_task(opened: Deposit, task: str) -> None:
    opened.check_task(task)
    scope = opened.tasks[task]['scope']
    if scope not in INFERENCERS:
        raise ValueError(
            f'task {task!r} is of {scope!r}; inferencers are known of {sorted(INFERENCERS)}'
        )


def _person_task(opened: Deposit, tasks: Sequence[str]) -> str | None:
    """The detection task that finds the boxes of top-down poses, if there are such tasks."""
    if not any(looks_into_boxes(task, opened.tasks[task]) for task in tasks):
        return None
    for task, info in opened.tasks.items():
        if info['scope'] == 'mmdet':
            if PERSON in (dataset_metainfo(task, info).get('classes') or ()):
                return task
    return None


def _save_drawings(folder: Path, image: InputImage, drawings: Mapping[str, np.ndarray]) -> None:
    """Writes a task's drawing into the folder of its name, and all beside each other."""
    png = isinstance(image.source, str) and image.source.lower().endswith('.png')
    name = image.name + ('.png' if png else '.jpg')
    for task, drawing in drawings.items():
        mmcv.imwrite(mmcv.rgb2bgr(drawing), str(folder / task / name))
    together = side_by_side({'image': mmcv.bgr2rgb(image.pixels)} | drawings)
    mmcv.imwrite(mmcv.rgb2bgr(together), str(folder / name))


def _save_predictions(folder: Path, name: str, predictions: Mapping[str, Any]) -> None:
    """Writes JSON; a map of labels is a PNG beside it, of which the JSON has the name."""
    for task, prediction in predictions.items():
        if isinstance(prediction, np.ndarray):
            labels = prediction.astype(np.min_scalar_type(prediction.max()))
            mmcv.imwrite(labels, str(folder / task / f'{name}.png'))
            prediction = dict(sem_seg=f'{name}.png')
        mmengine.dump(prediction, folder / task / f'{name}.json')


def side_by_side(drawings: Mapping[str, np.ndarray], width: int = 480) -> np.ndarray:
    """Drawings in a row with their names above.

    Args:
        drawings: name -> (height, width, 3), of one size.
        width: of each of them in the result.
    """
    panels = []
    for name, drawing in drawings.items():
        size = width, round(drawing.shape[0] * width / drawing.shape[1])
        method = 'area' if drawing.shape[1] > width else 'nearest'
        panel = mmcv.imresize(drawing, size, interpolation=method)
        panel = cv2.copyMakeBorder(panel, 24, 0, 2, 2, cv2.BORDER_CONSTANT, value=(255,) * 3)
        font, black = cv2.FONT_HERSHEY_SIMPLEX, (0, 0, 0)
        panels.append(cv2.putText(panel, name, (4, 17), font, 0.5, black, 1, cv2.LINE_AA))
    return np.concatenate(panels, 1)
