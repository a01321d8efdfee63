"""One image file: whether it can be used, told before anything is decoded, and its pixels."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import mmcv
import numpy as np
from PIL import Image

from mdl_nas_mm.utils.one_line import first_line

# A detector takes about 20 bytes a pixel and more.
MAX_PIXELS = 100_000_000


class BadImage(ValueError):
    """An image that cannot be used.

    Attributes:
        path: the file, or the name of what is no file.
        reason: goes on where the name ends, ``is empty``.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f'{path} {reason}')
        self.path, self.reason = str(path), reason


def check_readable(path: Path) -> None:
    """Raises BadImage unless there is a file with something in it that may be read."""
    if not path.exists():
        raise BadImage(path, 'is not there')
    if not path.is_file():
        raise BadImage(path, 'is a folder' if path.is_dir() else 'is no regular file')
    try:
        str(path).encode()
    except UnicodeEncodeError:
        # OpenCV crashes on it.
        raise BadImage(ascii(str(path))[1:-1], 'has a name that is not UTF-8') from None
    try:
        with open(path, 'rb') as file:
            if not file.read(1):
                raise BadImage(path, 'is empty')
    except OSError as error:
        raise BadImage(path, f'cannot be read: {error.strerror}') from None


def check_header(path: Path, max_pixels: int) -> None:
    """Raises BadImage unless OpenCV knows the format, and the image is not too large."""
    if not cv2.haveImageReader(str(path)):
        raise BadImage(path, 'is no image that OpenCV can read')
    check_pixels(path, _pixels_told(path), max_pixels)


def _pixels_told(path: Path) -> int:
    """What the header says, as far as Pillow understands it; else 0, as nothing is known."""
    try:
        with Image.open(path) as image:
            return image.width * image.height
    except Image.DecompressionBombError as error:
        # Beyond a limit of its own, one for the process, Pillow tells it just here.
        pixels = re.search(r'\d+', str(error))
        assert pixels is not None
        return int(pixels.group())
    except Exception:  # Of any kind, where a header is broken.
        return 0


def check_pixels(name: str | Path, pixels: int, max_pixels: int) -> None:
    """Raises BadImage for too many of them."""
    if pixels > max_pixels:
        raise BadImage(
            name,
            f'has {pixels:,} pixels, more than {max_pixels:,}; '
            'max_pixels (--max-pixels) says how many there may be',
        )


def read_image(path: Path, max_pixels: int) -> np.ndarray:
    """Decodes a file, (H, W, 3), BGR, of uint8, as mmcv does by default.

    So 16 bits become 8, transparency is left out, grey is repeated, and the orientation that a
    camera has noted is that of the pixels. Of several images in a file it is the first.

    Raises:
        BadImage: the file cannot be used.
    """
    check_readable(path)
    check_header(path, max_pixels)
    try:
        pixels = mmcv.imread(str(path))
    except (OSError, cv2.error) as error:
        raise BadImage(path, f'cannot be decoded: {first_line(error)}') from None
    if pixels is None:
        raise BadImage(path, 'is damaged or cut short')
    # Again, for headers that Pillow does not understand; OpenCV has a limit of its own.
    check_pixels(path, pixels.shape[0] * pixels.shape[1], max_pixels)
    return pixels
