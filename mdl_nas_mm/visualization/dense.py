"""Dense labels and answers side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from mdl_nas_mm.apis import MultiTaskInferencer
from mdl_nas_mm.apis.output_files import side_by_side
from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.deposit.configs import stored_metainfo
from mdl_nas_mm.scenes.pictures import depth_span, drawn_fields, picture
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
    opened, labels = Deposit(deposit), {}
    for task, info in opened.tasks.items():
        with quiet():
            loader = build_eval_loader(task, info['scope'], opened.validation(task)[0])
        dataset: Any = loader.dataset
        numbers = np.linspace(0, len(dataset) - 1, images).round().astype(int)
        labels[task] = [dataset[number]['data_samples'] for number in numbers.tolist()]
    paths = [sample.img_path for sample in next(iter(labels.values()))]
    with quiet():
        inferencer = MultiTaskInferencer(deposit, device='cpu', show_progress=False)
    answers = inferencer(paths, return_datasamples=True)
    rows = []
    for number, path_of_image in enumerate(paths):
        row = dict(image=np.asarray(Image.open(path_of_image).convert('RGB')))
        for task, info in opened.tasks.items():
            palette = stored_metainfo(task, info).get('palette') or ()
            answer = answers[task]['predictions'][number]
            row.update(_pictures(task, labels[task][number], answer, palette))
        rows.append(side_by_side(row, width))
    sheet = np.concatenate(rows)
    with written_whole(path) as temporary:
        temporary.write_bytes(cv2.imencode('.png', sheet[..., ::-1])[1].tobytes())


def _pictures(task: str, labels: Any, answer: Any, palette: Any) -> dict[str, np.ndarray]:
    """A task's label and answer, in the same colours."""
    (field,) = drawn_fields(answer)
    label = field.replace('pred_', 'gt_')
    settings: dict[str, Any] = dict(palette=palette) if field.endswith('sem_seg') else {}
    if field.endswith('depth_map') and label in labels:
        settings = dict(span=depth_span(labels, label))
    found = {task: picture(answer, field, **settings)}
    if label in labels:
        found = {f'{task}: label': picture(labels, label, **settings), **found}
    return found
