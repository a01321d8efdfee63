"""All tasks of a deposit on images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.structures import BaseDataElement
from rich.console import Console
from rich.progress import track

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.methods.ecmt.controller import Configuration
from mdl_nas_mm.methods.ecmt.file import load_controlled
from mdl_nas_mm.methods.ecmt.preferences import check_request
from mdl_nas_mm.methods.ecmt.runtime import ControlledModel
from mdl_nas_mm.utils.device import usable_device
from mdl_nas_mm.utils.process_wide import process_wide

from .image_files import MAX_PIXELS, BadImage
from .input_images import (
    InputImage,
    Inputs,
    Report,
    count_images,
    open_inputs,
    raise_or_warn,
    read_images,
)
from .output_files import OutputFolder
from .reuse import Saved, Thresholds, sharing_settings
from .task_passes import TaskPasses, blamed

# Task -> its answer to an image.
Samples = dict[str, BaseDataElement]


class MultiTaskInferencer:
    """Every task's upstream result and its drawing, called like upstream's inferencers.

    Images are prepared as in each task's validation. Poses that are estimated top-down need
    boxes: they are those of persons that the deposit's first detection task with a class
    ``person`` finds, which runs for that even where it is not among ``tasks``; the whole image
    where there is no such task, or it finds nobody.

    Any number of threads may have inferencers of their own, or share one; each task of it takes
    one batch at a time then, and drawing is for one thread of the process at a time.

    Args:
        deposit: the file.
        tasks: names; by default all.
        device: by default a GPU if there is one.
        show_progress: whether to show a progress bar.
        trust: see ``Deposit``.
        reuse: what transformers of one architecture take over of what was computed already:
            ``'tasks'`` of the first task on the same image, ``'frames'`` of the video's frame
            before, ``'both'`` of whichever costs less, see docs/computation_sharing.md; None for
            nothing.
        threshold: between exact, 0, and fast: differences up to it, of features of about 1, count
            as none.
        thresholds: sub-task -> a threshold a block, in place of that between tasks; such as
            ``read_thresholds`` gives, or the path of its file.
        budget, prefer: of a controlled deposit, see ``configure``; without them its largest
            architecture answers.
        latency: of a controlled deposit, see ``load_controlled``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the deposit has no such task, or was altered; no task is named; no inferencer
            of a task's library is known; ``reuse`` or ``threshold`` mean nothing; or see
            ``configure``.
    """

    def __init__(
        self,
        deposit: str | Path,
        tasks: Sequence[str] | None = None,
        device: str | torch.device | None = None,
        show_progress: bool = True,
        trust: Collection[str] = (),
        reuse: str | None = None,
        threshold: float = 0.0,
        thresholds: Thresholds | str | Path | None = None,
        budget: str | float | None = None,
        prefer: Mapping[str, float] | None = None,
        latency: str | Path | None = None,
    ) -> None:
        opened = Deposit(deposit, trust)
        if tasks is not None and (isinstance(tasks, str) or not tasks):
            raise ValueError(f'tasks: {tasks!r}, expected a list of some of {list(opened.tasks)}')
        self.tasks = tuple(opened.tasks if tasks is None else tasks)
        sharing = None
        if reuse is None and (threshold or thresholds is not None):
            raise ValueError("threshold, thresholds: of what is reused; say reuse, such as 'both'")
        if reuse is not None:
            sharing = sharing_settings(reuse, threshold, thresholds, opened.tasks)
        self.show_progress = show_progress
        self._opened, self._latency = opened, latency
        self._sharing = sharing
        self._device = usable_device(device or get_device())
        self.controlled: ControlledModel | None = None
        if budget is None and prefer is None:
            self.passes = TaskPasses(opened, self.tasks, self._device, trust, sharing)
        else:
            self.configure(budget, prefer)

    def configure(
        self,
        budget: str | float | None = None,
        prefer: Mapping[str, float] | None = None,
        search: bool = False,
    ) -> Configuration:
        """Changes the architecture of a controlled deposit, between two calls.

        The first time its model is loaded, which takes seconds; then only statistics of batch norms
        are written.

        Args:
            budget: the most that it may cost, such as ``'10G'``, ``'5M params'`` or ``'25ms'``.
            prefer: task -> its preference in any scale, 0 where it is not named; without it all
                are alike.
            search: whether to search for one for just this request and to calibrate it, which takes
                longer; else it is the best of those that are calibrated in the file.

        Raises:
            ValueError: the deposit is no controlled one, no calibrated architecture fits, something
                is to be reused, or see ``Controller.configure``.
        """
        if self._sharing is not None:
            raise ValueError('reuse: what was computed is not taken over by other architectures')
        if self.controlled is None:
            opened = self._opened
            check_request(budget, prefer, list(opened.tasks))
            controlled = load_controlled(opened.path, opened.trust, self._latency)
            given = (opened, self.tasks, self._device, opened.trust)
            self.passes = TaskPasses(*given, controlled=controlled)
            self.controlled = controlled
        if search:
            return self.controlled.search(budget, prefer)[0].found
        return self.controlled.request(budget, prefer).found

    @property
    def saved(self) -> Saved | None:
        """What ``reuse`` has saved so far; None without it."""
        return None if self.passes.reuse is None else self.passes.reuse.saved()

    def __call__(
        self, inputs: Inputs, batch_size: int = 1, return_vis: bool = False, **settings: Any
    ) -> dict[str, dict[str, list]]:
        """The results of all images at once.

        Args:
            inputs: see ``stream``, which takes long videos as well: here all results of a call
                are in memory at once.
            batch_size: images of a forward pass, as far as they are of one size.
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
        max_pixels: int = MAX_PIXELS,
        on_bad: Callable[[str, str], None] | None = None,
    ) -> Iterator[dict[str, tuple[Any, np.ndarray | None]]]:
        """The results of one image after the other.

        Args:
            inputs: an array (H, W, 3) of uint8, BGR; the path of an image, of a folder
                of images, or of a video, of which every frame is taken; or a list of these.
            batch_size: images that are read at once; those of one size are one batch of a model.
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
            max_pixels: most pixels of an image; a larger one is not decoded.
            on_bad: is called with the path and the reason of every image that cannot be used,
                which has no results then. Without it there is a warning of one that was found in
                a folder, and an error for any other.

        Yields:
            For each image task -> prediction and drawing: (H, W, 3), RGB, None unless
            asked for.

        Raises:
            FileNotFoundError: there is no such image or folder.
            ValueError: an image cannot be used, there are none, ``batch_size`` or ``max_pixels`` is
                below 1, or nothing can be written into ``out_dir``.
        """
        for name, value in dict(batch_size=batch_size, max_pixels=max_pixels).items():
            if value < 1:
                raise ValueError(f'{name} is {value}; it has to be at least 1')
        report = raise_or_warn if on_bad is None else lambda bad, _: on_bad(bad.path, bad.reason)
        sources = open_inputs(inputs, max_pixels, report)
        images = read_images(sources, max_pixels, report)
        if self.show_progress:
            # rich has one bar a console, and another thread may have one.
            bar = dict(description='Inference', total=count_images(sources), console=Console())
            images = iter(track(images, **bar))
        draws = bool(return_vis or show or (out_dir and not no_save_vis))
        drawing = dict(score_thr=pred_score_thr, show=show, wait_time=wait_time)
        with OutputFolder(out_dir, not no_save_vis, not no_save_pred) as output:
            for image, samples, first in self._samples(images, batch_size, report):
                try:
                    found = self._finish(image, samples, first, drawing if draws else None)
                except BadImage as bad:
                    report(bad, image.named)
                    continue
                predictions, drawings = found
                output.save(image, predictions, self._kinds(samples), drawings)
                answers = samples if return_datasamples else predictions
                yield {task: (answers[task], drawings.get(task)) for task in self.tasks}
        if self.saved is not None:
            MMLogger.get_current_instance().info(str(self.saved))

    def _samples(
        self, images: Iterator[InputImage], batch_size: int, report: Report
    ) -> Iterator[tuple[InputImage, Samples, Samples]]:
        """Every image with its data sample of every task, and those of its video's first frame."""
        video, first = None, {}
        one_by_one = self.passes.reuse is not None
        while batch := list(itertools.islice(images, batch_size)):
            samples = {}
            for group in _groups(batch, one_by_one):
                samples.update(self._answers(group, report))
            for image in batch:
                if image.name in samples:
                    if image.video is not video:
                        video, first = image.video, samples[image.name] if image.video else {}
                    yield image, samples[image.name], first

    def _answers(self, group: Sequence[InputImage], report: Report) -> dict[str, Samples]:
        """Image -> task -> data sample, of the images of a group that can be used."""
        try:
            return self._predict(group)
        except BadImage as bad:
            if len(group) == 1:
                report(bad, group[0].named)
                return {}
        # One of them is to blame, or they are too many.
        samples = {}
        for image in group:
            samples.update(self._answers([image], report))
        return samples

    def _predict(self, group: Sequence[InputImage]) -> dict[str, Samples]:
        """Image -> task -> data sample, of images of one size."""
        video = group[0].video
        samples = self.passes.predict([image.source for image in group], group[0].label, video)
        return {image.name: found for image, found in zip(group, samples)}

    def _kinds(self, samples: Samples) -> dict[str, str]:
        """Task -> what its prediction is, where that is an array."""
        return {task: self.passes.inferencers[task].kind(samples[task]) for task in self.tasks}

    def _finish(
        self, image: InputImage, samples: Samples, first: Samples, drawing: dict | None
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """An image's predictions and, as ``drawing`` says, its drawings.

        Args:
            image: the image.
            samples: task -> its answer.
            first: the same of the first frame of its video.
            drawing: settings of ``TaskInferencer.draw``; None for no drawings.
        """
        predictions: dict[str, Any] = {}
        drawings: dict[str, np.ndarray] = {}
        for task in self.tasks:
            inferencer, sample = self.passes.inferencers[task], samples[task]
            with blamed(image.label, task):
                with inferencer.lock:
                    predictions[task] = inferencer.prediction(sample)
                if drawing is not None:
                    # Upstream draws with matplotlib, and colours by numpy's random state.
                    with process_wide():
                        drawings[task] = inferencer.draw(
                            image.pixels, sample, first=first.get(task), **drawing
                        )
        return predictions, drawings


def _groups(batch: Sequence[InputImage], one_by_one: bool) -> list[list[InputImage]]:
    """Images that make a batch of a model.

    Upstream's classifiers and segmentors take batches of one size, detectors pad others. A frame
    that takes over something of the one before comes after it.
    """
    groups: dict[tuple, list[InputImage]] = {}
    for image in batch:
        own = (image.name,) if one_by_one and image.video is not None else ()
        groups.setdefault((*image.pixels.shape, *own), []).append(image)
    return list(groups.values())
