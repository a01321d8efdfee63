"""Files that are there whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a temporary path; what is written there appears under ``path`` when complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name for all processes: what a kill leaves is written over the next time.
    temporary = path.with_name(f'.{path.name}.tmp')
    try:
        yield temporary
        with open(temporary, 'rb') as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def held(lock: str | os.PathLike, busy: str) -> Iterator[None]:
    """Lets nobody else hold a lock inside the block.

    The lock is one that the system takes off a process that ends in whatever way.

    Args:
        lock: a file for nothing else; its folder is there, and it is gone after the block.
        busy: what to say where somebody else holds it.

    Raises:
        ValueError: somebody else does.
    """
    with open(lock, 'ab') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it may have removed the file that was opened here.
            is_there = os.path.samestat(os.stat(lock), os.fstat(file.fileno()))
        except (BlockingIOError, FileNotFoundError):
            is_there = False
        if not is_there:
            raise ValueError(busy)
        try:
            yield
        finally:
            os.unlink(lock)


def sha256_of(path: str | os.PathLike) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
