"""What an inferencer is called with: arrays, image files, folders, videos, and lists of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import mmcv
import numpy as np
from mmcv import VideoReader

SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp')


@dataclass(frozen=True)
class Video:
    """A video file, opened."""

    path: Path
    frames: VideoReader


Inputs = np.ndarray | str | os.PathLike | Sequence
Source = np.ndarray | Path | Video


@dataclass(frozen=True, eq=False)
class InputImage:
    """One image.

    Attributes:
        name: differs from that of every other image of the call, and is fit for a file.
        source: as upstream's inferencers take it, a path or an array.
        pixels: (height, width, 3), BGR.
    """

    name: str
    source: str | np.ndarray
    pixels: np.ndarray


def open_inputs(inputs: Inputs) -> list[Source]:
    """Looks at all inputs, before the first of them is used.

    Of a folder the image files right in it are taken, ordered by their names. Whether a file is
    an image or a video is told by its content.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: a folder has no images, OpenCV can read a file neither as image nor as video,
            or an array is no BGR image; or there is nothing at all.
    """
    if isinstance(inputs, np.ndarray):
        if inputs.ndim != 3 or inputs.shape[2] != 3 or inputs.dtype != np.uint8:
            raise ValueError(
                f'an array of {inputs.dtype} and shape {inputs.shape} is no image; '
                'give uint8, (height, width, 3), BGR'
            )
        return [inputs]
    if isinstance(inputs, (str, os.PathLike)):
        return _open_path(Path(inputs))
    if not inputs:
        raise ValueError('no images given')
    return [source for each in inputs for source in open_inputs(each)]


def _open_path(path: Path) -> list[Source]:
    if not path.exists():
        raise FileNotFoundError(f'{path} is not there')
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        if not files:
            raise ValueError(f'no images in folder {path}; it may have {", ".join(SUFFIXES)}')
        return [source for file in files for source in _open_path(file)]
    if cv2.haveImageReader(str(path)):
        return [path]
    frames = VideoReader(str(path))
    # Any file that is named like an image counts as a video of one frame.
    if not len(frames) or VideoReader(str(path)).read() is None:
        raise ValueError(f'{path} is neither an image nor a video that OpenCV can read')
    return [Video(path, frames)]


def count_images(sources: Sequence[Source]) -> int:
    """How many images there are; of a video as many as its header says."""
    return sum(len(source.frames) if isinstance(source, Video) else 1 for source in sources)


def read_images(sources: Sequence[Source]) -> Iterator[InputImage]:
    """Every image and every frame, one at a time.

    Files give their names, frames that of the video and their number, arrays their position.
    Where two are the same, the later one gets a number.

    Raises:
        ValueError: a file begins like an image and cannot be decoded.
    """
    names = set()
    for name, source in _named(sources):
        pixels = source if isinstance(source, np.ndarray) else mmcv.imread(source)
        if pixels is None:
            raise ValueError(f'image {source} cannot be decoded')
        unique, number = name, 1
        while unique in names:
            number += 1
            unique = f'{name}_{number}'
        names.add(unique)
        yield InputImage(unique, source, pixels)


def _named(sources: Sequence[Source]) -> Iterator[tuple[str, str | np.ndarray]]:
    for position, source in enumerate(sources):
        if isinstance(source, Video):
            for number, frame in enumerate(source.frames):
                yield f'{source.path.stem}_{number:06d}', frame
        elif isinstance(source, Path):
            yield source.stem, str(source)
        else:
            yield f'{position:08d}', source
