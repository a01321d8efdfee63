"""The drawings of a video's frames as videos again."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
from mmengine.logging import MMLogger

from mdl_nas_mm.utils.unique_name import unique_name

from .input_images import InputImage, Video

_CODEC = cv2.VideoWriter_fourcc(*'mp4v')


class DrawnVideos:
    """Videos ``NAME.mp4`` of panels, and ``TASK/NAME.mp4``, each there whole or not at all.

    One video is written at a time; it ends with the next one, or with ``end``.

    Args:
        folder: where they go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: set[str] = set()
        self._video: Video | None = None
        self._name = ''
        self._files = ExitStack()
        self._writers: dict[str, cv2.VideoWriter | None] = {}

    def add(self, image: InputImage, drawings: Mapping[str, np.ndarray]) -> None:
        """Adds a frame; an image that is of no video just ends the one before.

        Args:
            image: the frame.
            drawings: path without suffix, '' for the panel, or a task -> (H, W, 3), RGB.
        """
        if image.video is not self._video:
            self._files.close()
            self._writers.clear()
            self._video = image.video
            self._name = unique_name(image.video.name, self._names) if image.video else ''
        if self._video is None:
            return
        for task, drawing in drawings.items():
            frame = _even(mmcv.rgb2bgr(drawing))
            if task not in self._writers:
                path = self._folder / task / f'{self._name}.mp4'
                height, width = frame.shape[:2]
                opened = _writing(path, self._video.fps, (width, height))
                self._writers[task] = self._files.enter_context(opened)
            writer = self._writers[task]
            if writer is not None:
                writer.write(frame)

    def end(self, *error: Any) -> None:
        """Ends the last video, or removes what is there of it.

        Args:
            error: as of ``__exit__``.
        """
        self._files.__exit__(*error)


@contextmanager
def _writing(path: Path, fps: float, size: tuple[int, int]) -> Generator[cv2.VideoWriter | None]:
    """A writer of frames of a size (width, height); None where OpenCV has none, with a warning."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # OpenCV tells the kind of file by its suffix.
    partial = path.with_name(f'.{path.name}')
    writer = cv2.VideoWriter(str(partial), _CODEC, fps, size)
    try:
        if not writer.isOpened():
            MMLogger.get_current_instance().warning(
                f'{path}: OpenCV cannot write a video of {size[0]} x {size[1]} pixels; there are '
                'just its frames'
            )
            yield None
            return
        yield writer
        writer.release()
        os.replace(partial, path)
    finally:
        writer.release()
        partial.unlink(missing_ok=True)


def _even(frame: np.ndarray) -> np.ndarray:
    """A frame of even sides, as the codec wants them."""
    height, width = frame.shape[:2]
    return cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
