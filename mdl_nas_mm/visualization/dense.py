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
    deposit: str | Path, path: str | Path, images: int = 4, width: int = 256
) -> None:
    """Plots images of the whole validation split, each with the label and answer of every task.

    Labels stand in a row, the answers below them.

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
        image = np.asarray(Image.open(path_of_image).convert('RGB'))
        above, below = dict(image=image), {'': np.full_like(image, 255)}
        for task, info in opened.tasks.items():
            palette = stored_metainfo(task, info).get('palette') or ()
            answer = answers[task]['predictions'][number]
            label, answered = _pictures(labels[task][number], answer, palette)
            above[f'{task}: label'], below[task] = label, answered
        rows += [side_by_side(above, width), side_by_side(below, width)]
    sheet = np.concatenate(rows)
    with written_whole(path) as temporary:
        temporary.write_bytes(cv2.imencode('.png', sheet[..., ::-1])[1].tobytes())


def _pictures(labels: Any, answer: Any, palette: Any) -> tuple[np.ndarray, np.ndarray]:
    """A task's label and answer, in the same colours; white where there is no label."""
    (field,) = drawn_fields(answer)
    label = field.replace('pred_', 'gt_')
    settings: dict[str, Any] = dict(palette=palette) if field.endswith('sem_seg') else {}
    if field.endswith('depth_map') and label in labels:
        settings = dict(span=depth_span(labels, label))
    answered = picture(answer, field, **settings)
    if label not in labels:
        return np.full_like(answered, 255), answered
    return picture(labels, label, **settings), answered
