"""What an inferencer writes: drawings and predictions, each file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import mmcv
import mmengine
import numpy as np

from mdl_nas_mm.utils.files import written_whole

from .input_images import InputImage


def make_writable(folder: Path) -> None:
    """Makes a folder.

    Raises:
        ValueError: there can be none, or nothing can be written into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f'out_dir {folder} cannot be made: {error.strerror}') from None
    if not os.access(folder, os.W_OK):
        raise ValueError(f'out_dir {folder}: nothing may be written into it')


def save_drawings(folder: Path, image: InputImage, drawings: Mapping[str, np.ndarray]) -> None:
    """Writes a task's drawing into the folder of its name, and all beside each other."""
    png = isinstance(image.source, str) and image.source.lower().endswith('.png')
    name = image.name + ('.png' if png else '.jpg')
    for task, drawing in drawings.items():
        _write_image(folder / task / name, mmcv.rgb2bgr(drawing))
    joined = side_by_side({'image': mmcv.bgr2rgb(image.pixels), **drawings})
    _write_image(folder / name, mmcv.rgb2bgr(joined))


def save_predictions(folder: Path, name: str, predictions: Mapping[str, Any]) -> None:
    """Writes JSON; a map of labels is a PNG beside it, of which the JSON has the name."""
    for task, prediction in predictions.items():
        if isinstance(prediction, np.ndarray):
            labels = prediction.astype(np.min_scalar_type(prediction.max()))
            _write_image(folder / task / f'{name}.png', labels)
            prediction = dict(sem_seg=f'{name}.png')
        content = mmengine.dump(prediction, file_format='json')
        _write(folder / task / f'{name}.json', content.encode())


def _write_image(path: Path, pixels: np.ndarray) -> None:
    _write(path, cv2.imencode(path.suffix, pixels)[1].tobytes())


def _write(path: Path, content: bytes) -> None:
    with written_whole(path, lasting=False) as temporary:
        temporary.write_bytes(content)


def side_by_side(drawings: Mapping[str, np.ndarray], width: int = 480) -> np.ndarray:
    """Drawings in a row with their names above.

    Args:
        drawings: name -> (H, W, 3), of one size.
        width: of each of them in the result; less where they are more than twice as high.
    """
    panels = []
    for name, drawing in drawings.items():
        scale = width / max(drawing.shape[1], drawing.shape[0] / 2)
        size = [max(round(length * scale), 1) for length in (drawing.shape[1], drawing.shape[0])]
        method = 'area' if scale < 1 else 'nearest'
        panel = mmcv.imresize(drawing, size, interpolation=method)
        panel = cv2.copyMakeBorder(panel, 24, 0, 2, 2, cv2.BORDER_CONSTANT, value=(255,) * 3)
        font, black = cv2.FONT_HERSHEY_SIMPLEX, (0, 0, 0)
        panels.append(cv2.putText(panel, name, (4, 17), font, 0.5, black, 1, cv2.LINE_AA))
    return np.concatenate(panels, 1)
