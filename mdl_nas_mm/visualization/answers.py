"""Pictures of what the tasks of a deposit answer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from mmengine.structures import BaseDataElement
from PIL import Image

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.tasks import build_eval_loader
from mdl_nas_mm.utils.files import written_whole
from mdl_nas_mm.utils.quiet import quiet

COLOURS = plt.get_cmap('tab10').colors


def plot_answers(
    deposit: str | Path, path: str | Path, images: int = 8, score_thr: float = 0.5
) -> None:
    """Plots, for every task, images of the whole validation split with the deposited answers.

    Args:
        deposit: the file.
        path: PNG to write.
        images: images a task.
        score_thr: lowest score of a detection that is drawn.
    """
    opened = Deposit(deposit)
    tasks = opened.tasks
    figure, rows = plt.subplots(
        len(tasks), images, figsize=(1.5 * images, 1.8 * len(tasks)), squeeze=False
    )
    for row, (task, info) in zip(rows, tasks.items()):
        with quiet():
            loader = build_eval_loader(task, info['scope'], opened.validation(task)[0])
            dataset: Any = loader.dataset
            model = opened.load_task(task)
            every = max(len(dataset) // images, 1)
            with torch.no_grad():
                batches = (model.val_step(batch) for batch in loader)
                answers = itertools.chain.from_iterable(batches)
                samples = list(itertools.islice(answers, 0, None, every))[:images]
        classes = getattr(dataset, 'metainfo', {}).get('classes', ())
        for axes, sample in itertools.zip_longest(row, samples):
            axes.set_axis_off()
            if sample is not None:
                _plot(axes, sample, classes, score_thr)
        row[0].set_title(task, loc='left', fontweight='bold')
    figure.tight_layout(pad=0.3, h_pad=0.8)
    with written_whole(path) as temporary:
        figure.savefig(temporary, format='png', dpi=120)
    plt.close(figure)


def _plot(axes: Axes, sample: BaseDataElement, classes: Sequence[str], score_thr: float) -> None:
    axes.imshow(Image.open(sample.img_path).convert('RGB'), interpolation='nearest')
    if 'pred_instances' in sample:
        _plot_instances(axes, sample.pred_instances, classes, score_thr)
    elif 'pred_sem_seg' in sample:
        _plot_segments(axes, sample.pred_sem_seg.data[0].cpu().numpy(), classes)
    elif 'pred_label' in sample:
        label = int(sample.pred_label)
        axes.set_title(str(classes[label] if classes else label), fontsize=9)


def _plot_instances(axes: Axes, instances, classes: Sequence[str], score_thr: float) -> None:
    instances = instances[instances.scores >= score_thr].cpu().numpy()
    for i, (x0, y0, x1, y1) in enumerate(instances.bboxes):
        label = int(instances.labels[i])
        colour = COLOURS[label % len(COLOURS)]
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, lw=1.2))
        name = str(classes[label] if classes else label)
        axes.text(x0, y0, name, fontsize=7, color='white', bbox=dict(fc=colour, lw=0, pad=0.6))
        if 'masks' in instances:
            _overlay(axes, instances.masks[i], colour)


def _plot_segments(axes: Axes, labels: np.ndarray, classes: Sequence[str]) -> None:
    names = []
    for label in np.unique(labels):
        if label:
            _overlay(axes, labels == label, COLOURS[(label - 1) % len(COLOURS)])
            if (labels == label).mean() > 0.01:
                names.append(str(classes[label] if classes else label))
    axes.set_title(' '.join(names), fontsize=9)


def _overlay(axes: Axes, mask: np.ndarray, colour: Sequence[float]) -> None:
    layer = np.zeros((*mask.shape, 4))
    layer[mask.astype(bool)] = (*colour[:3], 0.55)
    axes.imshow(layer, interpolation='nearest')
