"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def written_whole(path: str | os.PathLike, lasting: bool = True) -> Generator[Path]:
    """Gives a temporary path; what is written there appears under ``path`` when complete.

    Args:
        path: the file to write.
        lasting: whether it also outlives a crash of the machine, which takes milliseconds.

    Raises:
        OSError: it cannot be written, as on a full disk; names ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name for all processes: what a kill leaves is written over the next time.
    temporary = path.with_name(f'.{path.name}.tmp')
    try:
        with named_failures(path, temporary):
            yield temporary
            if lasting:
                with open(temporary, 'rb') as file:
                    os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, content: Any, indent: int | None = 1) -> None:
    """Writes JSON; the file appears when complete.

    Args:
        path: the file.
        content: what can be written as JSON.
        indent: spaces a level; None for one line without any.

    Raises:
        OSError: it cannot be written; names it.
        ValueError: a number is not finite, which JSON does not have.
    """
    with written_whole(path) as temporary:
        separators = (',', ':') if indent is None else None
        text = json.dumps(content, indent=indent, separators=separators, allow_nan=False)
        temporary.write_text(text, encoding='utf-8')


@contextmanager
def named_failures(path: str | os.PathLike, temporary: Path | None = None) -> Generator[None]:
    """Names the file that is written inside the block in what fails there.

    A write does not say to which file; torch and safetensors hide what the system has said.

    Args:
        path: the file that it becomes.
        temporary: what the file is called inside the block.

    Raises:
        OSError: the file cannot be written, as on a full disk.
    """
    try:
        yield
    except Exception as error:
        number = _failed_write(error, (None, str(path), str(temporary)))
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _failed_write(error: BaseException | None, names: tuple) -> int | None:
    """The system's number of what made writing fail, in an exception or what it came of."""
    while error is not None:
        if isinstance(error, OSError) and error.errno and error.filename in names:
            return error.errno
        # As safetensors says it.
        found = re.search(r'\(os error (\d+)\)', str(error))
        if found:
            return int(found[1])
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def held(lock: str | os.PathLike, busy: str) -> Generator[None]:
    """Lets nobody else hold a lock inside the block.

    The lock is one that the system takes off a process that ends in whatever way.

    Args:
        lock: a file for nothing else; its folder is there, and it is gone after the block.
        busy: what to say where somebody else holds it.

    Raises:
        ValueError: somebody else does.
    """
    with open(lock, 'ab') as file:
        if not _locked(file, lock):
            raise ValueError(busy)
        try:
            yield
        finally:
            Path(lock).unlink(missing_ok=True)


def _locked(file: IO, path: str | os.PathLike) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # Some file systems of clusters know no locks; there nobody is kept out.
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
            raise
    try:
        # Whoever had it may have removed the file that was opened.
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def sha256_of(path: str | os.PathLike) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
