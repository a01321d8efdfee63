"""A safetensors file that is trusted in nothing: its header is checked, its tensors are mapped."""

from __future__ import annotations

import math
import mmap
import os
from dataclasses import dataclass
from pathlib import Path

import torch
import xxhash
from torch import Tensor

from mdl_nas_mm.header.entries import opened, read_entries

_DTYPES = {
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
        with opened(path) as file:
            self.metadata, found = read_entries(file)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        self.entries = {
            name: Entry(_DTYPES[each.dtype], each.shape, each.start, each.end)
            for name, each in found.items()
        }

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
