"""Writing a deposit: by one process at a time, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from mdl_nas_mm.elastic.known import dimensions_of
from mdl_nas_mm.header.manifest import decode, encode
from mdl_nas_mm.utils.files import held, written_whole


@contextmanager
def locked(path: str | Path, is_new: bool = False) -> Generator[None]:
    """Lets nobody else write a file inside the block.

    Args:
        path: the file that is written.
        is_new: whether the file need not be there.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: somebody else is writing.
    """
    path = Path(path)
    if is_new:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.is_file():
        raise FileNotFoundError(f'deposit {path} is not there')
    busy = f'deposit {path}: another process is writing it; try again later'
    with held(path.with_name(f'.{path.name}.lock'), busy):
        yield


def write(path: str | Path, manifest: Mapping, tensors: Mapping[str, Tensor]) -> None:
    """Writes all of a deposit; the file appears under its name when it is complete."""
    metadata = encode(manifest)
    # Nothing is written that would not be read.
    decode(metadata, str(path), dimensions_of)
    with written_whole(path) as temporary:
        save_file(dict(tensors), temporary, metadata)
        # safetensors lets nobody else read it; here the user's mask says who may.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
