"""What an inferencer writes: drawings and predictions, each file whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import mmcv
import mmengine
import numpy as np

from mdl_nas_mm.utils.files import written_whole

from .drawn_videos import DrawnVideos
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


class OutputFolder:
    """Drawings in ``vis`` and predictions in ``preds``, one image after the other.

    Args:
        out_dir: the folder; nothing is written without one.
        draws: whether drawings are written.
        predicts: whether predictions are.

    Raises:
        ValueError: nothing can be written into it.
    """

    def __init__(self, out_dir: str | Path, draws: bool, predicts: bool) -> None:
        if out_dir:
            make_writable(Path(out_dir))
        self._drawings = Path(out_dir, 'vis') if out_dir and draws else None
        self._predictions = Path(out_dir, 'preds') if out_dir and predicts else None
        self._videos = DrawnVideos(self._drawings) if self._drawings else None

    def __enter__(self) -> OutputFolder:
        return self

    def __exit__(self, *error: Any) -> None:
        if self._videos is not None:
            self._videos.end(*error)

    def save(
        self,
        image: InputImage,
        predictions: Mapping[str, Any],
        kinds: Mapping[str, str],
        drawings: Mapping[str, np.ndarray],
    ) -> None:
        """Writes what there is of an image; see ``save_drawings``, ``save_predictions``."""
        if self._drawings is not None and self._videos is not None:
            together = side_by_side({'image': mmcv.bgr2rgb(image.pixels), **drawings})
            all_of_it = {**drawings, '': together}
            save_drawings(self._drawings, image, all_of_it)
            self._videos.add(image, all_of_it)
        if self._predictions is not None:
            save_predictions(self._predictions, image.name, predictions, kinds)


def save_drawings(folder: Path, image: InputImage, drawings: Mapping[str, np.ndarray]) -> None:
    """Writes drawings, each into the folder of its name.

    Args:
        folder: of all of them.
        image: what is drawn.
        drawings: name of a folder in it, '' for the folder itself -> (H, W, 3), RGB.
    """
    png = isinstance(image.source, str) and image.source.lower().endswith('.png')
    name = image.name + ('.png' if png else '.jpg')
    for task, drawing in drawings.items():
        _write_image(folder / task / name, mmcv.rgb2bgr(drawing))


def save_predictions(
    folder: Path, name: str, predictions: Mapping[str, Any], kinds: Mapping[str, str]
) -> None:
    """Writes JSON; a map is a file beside it, of which the JSON has the name.

    Labels are a PNG, other values an array of numpy.

    Args:
        folder: of all tasks.
        name: of the image.
        predictions: task -> its prediction.
        kinds: task -> what an array is.
    """
    for task, prediction in predictions.items():
        if isinstance(prediction, np.ndarray):
            prediction = {kinds[task]: _save_array(folder / task / name, prediction)}
        content = mmengine.dump(prediction, file_format='json')
        _write(folder / task / f'{name}.json', content.encode())


def _save_array(path: Path, values: np.ndarray) -> str | list[float]:
    """The name of the file that has a map; numbers of a whole image are given as they are."""
    if values.ndim == 1:
        return values.tolist()
    if np.issubdtype(values.dtype, np.integer):
        file = path.with_name(f'{path.name}.png')
        _write_image(file, values.astype(np.min_scalar_type(values.max())))
    else:
        file, content = path.with_name(f'{path.name}.npy'), io.BytesIO()
        np.save(content, values)
        _write(file, content.getvalue())
    return file.name


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
