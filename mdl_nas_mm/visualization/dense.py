"""Dense labels and answers side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from mdl_nas_mm.apis.output_files import side_by_side
from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.scenes.pictures import drawn_fields, picture
from mdl_nas_mm.tasks import build_eval_loader
from mdl_nas_mm.utils.files import written_whole
from mdl_nas_mm.utils.quiet import quiet


def plot_dense_answers(
    deposit: str | Path, path: str | Path, images: int = 6, width: int = 192
) -> None:
    """Plots images of the whole validation split, each with the label and answer of every task.

    Args:
        deposit: of dense tasks with the same validation images.
        path: PNG to write.
        images: how many, one below the other.
        width: of each picture.
    """
    opened = Deposit(deposit)
    rows: list[dict[str, np.ndarray]] = []
    for task, info in opened.tasks.items():
        with quiet():
            loader = build_eval_loader(task, info['scope'], opened.validation(task)[0])
            model = opened.load_task(task)
        dataset: Any = loader.dataset
        numbers = np.linspace(0, len(dataset) - 1, images).round().astype(int)
        palette = dataset.metainfo.get('palette') or ()
        for row, number in enumerate(numbers.tolist()):
            sample = dataset[number]
            with torch.no_grad():
                (answer,) = model.val_step({key: [value] for key, value in sample.items()})
            if row == len(rows):
                rows.append(dict(image=np.asarray(Image.open(answer.img_path).convert('RGB'))))
            rows[row].update(_pictures(task, answer, palette))
    sheet = np.concatenate([side_by_side(row, width) for row in rows])
    with written_whole(path) as temporary:
        temporary.write_bytes(cv2.imencode('.png', sheet[..., ::-1])[1].tobytes())


def _pictures(task: str, sample: Any, palette: Any) -> dict[str, np.ndarray]:
    """A task's label and answer, in the same colours."""
    (field,) = drawn_fields(sample)
    label = field.replace('pred_', 'gt_')
    settings: dict[str, Any] = dict(palette=palette) if field.endswith('sem_seg') else {}
    if field.endswith('depth_map') and label in sample:
        values = sample.get(label).data
        settings = dict(span=(float(values[values > 0].min()), float(values.max())))
    found = {f'{task}: label': label, task: field}
    return {name: picture(sample, key, **settings) for name, key in found.items() if key in sample}
