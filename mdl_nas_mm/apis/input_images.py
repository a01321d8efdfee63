"""What an inferencer is called with: arrays, image files, folders, videos, and lists of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from mmcv import VideoReader
from mmengine.logging import MMLogger

from mdl_nas_mm.utils.unique_name import unique_name

from .image_files import (
    MAX_PIXELS,
    BadImage,
    check_header,
    check_pixels,
    check_readable,
    read_image,
)

SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp')
# Bytes; file systems have 255.
_LONGEST_NAME = 200


@dataclass(frozen=True)
class ImageFile:
    """An image file; one that was found in a folder was not named by anybody."""

    path: Path
    named: bool


@dataclass(frozen=True)
class Video:
    """A video file, and what its header says: how many frames it has, and how many a second."""

    path: Path
    frames: int
    fps: float

    @property
    def name(self) -> str:
        """What its frames' names begin with."""
        return _short(self.path)


Inputs = np.ndarray | str | os.PathLike | Sequence
Source = np.ndarray | ImageFile | Video
# Is told of an image that cannot be used, and whether it was named.
Report = Callable[[BadImage, bool], None]


@dataclass(frozen=True, eq=False)
class InputImage:
    """One image.

    Attributes:
        name: differs from that of every other image of the call, and is fit for a file.
        label: what it is called in messages.
        source: as upstream's inferencers take it, a path or an array.
        pixels: (H, W, 3), BGR.
        named: False for what was found in a folder.
        video: of which it is a frame.
    """

    name: str
    label: str
    source: str | np.ndarray
    pixels: np.ndarray
    named: bool
    video: Video | None = None


def raise_or_warn(bad: BadImage, named: bool) -> None:
    """Whoever names an image wants to know; a folder may hold what is none."""
    if named:
        raise bad
    MMLogger.get_current_instance().warning(f'{bad}; it is left out')


def open_inputs(
    inputs: Inputs, max_pixels: int = MAX_PIXELS, report: Report = raise_or_warn
) -> list[Source]:
    """Looks at everything that is named, before the first of it is used.

    Of a folder the image files right in it are taken, ordered by their names, without hidden
    ones; these are looked at when they are read. Whether a file is an image or a video is told by
    its content.

    Args:
        inputs: an array (H, W, 3) of uint8, BGR; the path of an image, a folder or a video; or a
            list of these.
        max_pixels: most pixels of an image.
        report: is told of files that cannot be used, which are left out then.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: a folder has no images, or an array is no BGR image, or too large; or there is
            nothing at all.
    """
    if isinstance(inputs, np.ndarray):
        if inputs.ndim != 3 or inputs.shape[2] != 3 or inputs.dtype != np.uint8 or not inputs.size:
            raise ValueError(
                f'an array of {inputs.dtype} and shape {inputs.shape} is no image; '
                'give uint8, (H, W, 3), BGR'
            )
        check_pixels('an array', inputs.shape[0] * inputs.shape[1], max_pixels)
        return [inputs]
    if isinstance(inputs, (str, os.PathLike)):
        return _open_path(Path(inputs), max_pixels, report)
    if not inputs:
        raise ValueError('no images given')
    return [source for each in inputs for source in open_inputs(each, max_pixels, report)]


def _open_path(path: Path, max_pixels: int, report: Report) -> list[Source]:
    if not path.exists():
        raise FileNotFoundError(f'{path} is not there')
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if _is_taken(file))
        if not files:
            raise ValueError(f'no images in folder {path}; it may have {", ".join(SUFFIXES)}')
        return [ImageFile(file, named=False) for file in files]
    try:
        check_readable(path)
        if not cv2.haveImageReader(str(path)):
            return [_open_video(path, max_pixels)]
        check_header(path, max_pixels)
    except BadImage as bad:
        report(bad, True)
        return []
    return [ImageFile(path, named=True)]


def _is_taken(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith('.')


def _open_video(path: Path, max_pixels: int) -> Video:
    frames = VideoReader(str(path))
    # Any file that is named like an image counts as a video of one frame.
    if frames.frame_cnt < 1 or frames.read() is None:
        raise BadImage(path, 'is neither an image nor a video that OpenCV can read')
    check_pixels(path, frames.width * frames.height, max_pixels)
    # Some headers say nothing sensible.
    return Video(path, frames.frame_cnt, frames.fps if 0 < frames.fps < 1000 else 25.0)


def count_images(sources: Sequence[Source]) -> int:
    """How many images there are; of a video as many as its header says."""
    return sum(source.frames if isinstance(source, Video) else 1 for source in sources)


def read_images(
    sources: Sequence[Source], max_pixels: int = MAX_PIXELS, report: Report = raise_or_warn
) -> Iterator[InputImage]:
    """Every image and every frame that can be used, one at a time.

    Files give their names, frames that of the video and their number, arrays their position.
    Where two are the same, the later one gets a number.

    Args:
        sources: what ``open_inputs`` has found.
        max_pixels: most pixels of an image.
        report: is told of the others.
    """
    names: set[str] = set()
    for position, source in enumerate(sources):
        if isinstance(source, ImageFile):
            path, name = source.path, unique_name(_short(source.path), names)
            try:
                pixels = read_image(path, max_pixels)
            except BadImage as bad:
                report(bad, source.named)
                continue
            yield InputImage(name, str(path), str(path), pixels, source.named)
        elif isinstance(source, Video):
            for number, frame in _frames(source, report):
                name = unique_name(f'{source.name}_{number:06d}', names)
                label = f'{source.path}, frame {number}'
                yield InputImage(name, label, frame, frame, named=True, video=source)
        else:
            name = unique_name(f'{position:08d}', names)
            yield InputImage(name, f'image {position}', source, source, named=True)


def _frames(video: Video, report: Report) -> Iterator[tuple[int, np.ndarray]]:
    try:
        check_readable(video.path)
    except BadImage as bad:
        report(bad, True)
        return
    count = 0
    for frame in VideoReader(str(video.path)):
        yield count, frame
        count += 1
    if count < video.frames:
        # No failure, as headers are often not exact.
        MMLogger.get_current_instance().warning(
            f'{video.path} has ended after {count} of the {video.frames} frames that it tells of'
        )


def _short(path: Path) -> str:
    """Its name without a suffix, so short that there is room for a number and another one."""
    return path.stem.encode(errors='replace')[:_LONGEST_NAME].decode(errors='ignore')
