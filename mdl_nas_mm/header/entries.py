"""The header of a deposit: its tensors, which have to account for every byte of the file."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mdl_nas_mm.utils.one_line import printable
from mdl_nas_mm.utils.tensor_header import read_header

# Bytes of an element.
DTYPES = dict(F64=8, F32=4, F16=2, BF16=2, I64=8, I32=4, I16=2, I8=1, U8=1, BOOL=1)
_NAME = re.compile(r'[\w.+-]+(/[\w.+-]+)*')


@dataclass(frozen=True)
class HeaderEntry:
    """What the header says of one tensor.

    Attributes:
        dtype: as safetensors name it; see ``DTYPES``.
        start, end: where its bytes lie in the file.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@contextmanager
def opened(path: str | os.PathLike) -> Generator[BinaryIO]:
    """A deposit, opened for reading; what is wrong with its header is said of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is cut short, or its header is not one.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'deposit {path} is not there')
    try:
        with open(path, 'rb') as file:
            yield file
    except ValueError as error:
        reason = printable(str(error))
        raise ValueError(f'{path} is cut short or no deposit ({reason})') from None


def read_entries(file: BinaryIO) -> tuple[dict[str, str], dict[str, HeaderEntry]]:
    """The strings beside the tensors, and name -> what the header says of a tensor.

    Args:
        file: opened for reading, at its start.

    Raises:
        ValueError: the file is cut short, or its header is not one.
    """
    header, begin, size = read_header(file)
    metadata = header.pop('__metadata__', {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError('its metadata are not strings')
    entries = {name: _entry(name, value, begin) for name, value in header.items()}
    position = begin
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)):
        if entry.start != position:
            raise ValueError(f'{name!r} does not begin where the tensor before it ends')
        position = entry.end
    if position != size:
        raise ValueError(f'its tensors end at byte {position}, the file at {size}')
    return metadata, entries


def _entry(name: str, value: Any, begin: int) -> HeaderEntry:
    """One entry of the header, or ValueError."""
    if not _NAME.fullmatch(name) or {'.', '..'} & set(name.split('/')):
        raise ValueError(f'{name[:80]!r} is no name of a tensor')
    if not isinstance(value, dict) or set(value) != {'dtype', 'shape', 'data_offsets'}:
        raise ValueError(f'the entry of {name!r} is malformed')
    shape, offsets = value['shape'], value['data_offsets']
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or not all(
            type(number) is int and 0 <= number < 2**48 for number in numbers
        ):
            raise ValueError(f'the entry of {name!r} is malformed')
    if not isinstance(value['dtype'], str) or value['dtype'] not in DTYPES:
        raise ValueError(f'{name!r} has the dtype {ascii(value["dtype"])[:80]}')
    width = DTYPES[value['dtype']]
    # Strides of what has no elements are products of the other sides.
    is_wide = 0 in shape and math.prod(max(side, 1) for side in shape) >= 2**48
    if len(offsets) != 2 or len(shape) > 8 or is_wide:
        raise ValueError(f'the entry of {name!r} is malformed')
    start, end = offsets
    if end - start != math.prod(shape) * width or start % width:
        raise ValueError(f'{name!r} does not have the bytes of its shape')
    return HeaderEntry(value['dtype'], tuple(shape), begin + start, begin + end)
