"""The header of a safetensors file, within limits and without any of its tensors."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

from .strict_json import strict_json

# A header of a thousand tensors and ten tasks has some hundred kB.
MAX_HEADER = 2**24
MAX_VALUES = 2**19


def read_header(file: BinaryIO) -> tuple[dict[str, Any], int, int]:
    """Reads the JSON in front.

    Args:
        file: opened for reading, at its start.

    Returns:
        The header, where the tensors begin, and the size of the file.

    Raises:
        ValueError: there is none, or it is too long or no JSON object.
    """
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), 'little')
    if size < 8 or length > size - 8:
        raise ValueError('the header is longer than the file')
    if length > MAX_HEADER:
        raise ValueError(f'the header has more than {MAX_HEADER:,} bytes')
    if length % 8:
        raise ValueError('the length of the header is no multiple of 8')
    header = strict_json(file.read(length), MAX_VALUES)
    if not isinstance(header, dict):
        raise ValueError('the header is no object')
    return header, 8 + length, size
