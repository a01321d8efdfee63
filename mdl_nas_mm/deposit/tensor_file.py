"""A safetensors file that is trusted in nothing: its header is checked, its tensors are mapped."""

from __future__ import annotations

import math
import mmap
import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch
import xxhash
from torch import Tensor

from mdl_nas_mm.utils.one_line import printable
from mdl_nas_mm.utils.tensor_header import read_header

DTYPES = {
    'F64': torch.float64,
    'F32': torch.float32,
    'F16': torch.float16,
    'BF16': torch.bfloat16,
    'I64': torch.int64,
    'I32': torch.int32,
    'I16': torch.int16,
    'I8': torch.int8,
    'U8': torch.uint8,
    'BOOL': torch.bool,
}
_NAME = re.compile(r'[\w.+-]+(/[\w.+-]+)*')


@dataclass(frozen=True)
class Entry:
    """One tensor of a file.

    Attributes:
        start, end: where its bytes lie in the file.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    end: int


class TensorFile:
    """A safetensors file, opened for reading.

    The header has to account for every byte of the file, so that no tensor is larger than what is
    there. Tensors are views of a private mapping: pages that nobody reads are never loaded, and
    writing into one does not change the file.

    Args:
        path: the file.

    Attributes:
        metadata: the strings beside the tensors.
        entries: name -> what the header says of the tensor.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is cut short, or its header is not one.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f'deposit {path} is not there')
        try:
            with open(self.path, 'rb') as file:
                header, begin, size = read_header(file)
                self.metadata, self.entries = _checked(header, begin, size)
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except ValueError as error:
            reason = printable(str(error))
            raise ValueError(f'{path} is cut short or no deposit ({reason})') from None

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def __getitem__(self, name: str) -> Tensor:
        """A view of one tensor."""
        entry = self.entries[name]
        if entry.start == entry.end:
            return torch.empty(entry.shape, dtype=entry.dtype)
        count = math.prod(entry.shape)
        flat = torch.frombuffer(self._map, dtype=entry.dtype, count=count, offset=entry.start)
        return flat.view(entry.shape)


def content_hash(tensor: Tensor) -> str:
    """Hex XXH3-128 of a tensor's dtype, shape and bytes. It detects damage, not malice."""
    tensor = tensor.detach().cpu().contiguous()
    digest = xxhash.xxh3_128(f'{tensor.dtype} {tuple(tensor.shape)}'.encode())
    digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _checked(header: dict, begin: int, size: int) -> tuple[dict[str, str], dict[str, Entry]]:
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


def _entry(name: str, value, begin: int) -> Entry:
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
    dtype = DTYPES[value['dtype']]
    # Strides of what has no elements are products of the other sides.
    is_wide = 0 in shape and math.prod(max(side, 1) for side in shape) >= 2**48
    if len(offsets) != 2 or len(shape) > 8 or is_wide:
        raise ValueError(f'the entry of {name!r} is malformed')
    start, end = offsets
    if end - start != math.prod(shape) * dtype.itemsize or start % dtype.itemsize:
        raise ValueError(f'{name!r} does not have the bytes of its shape')
    return Entry(dtype, tuple(shape), begin + start, begin + end)
