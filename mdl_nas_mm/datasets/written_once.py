"""A folder of data that a function writes once: whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from mdl_nas_mm.utils.files import write_json

MANIFEST = 'manifest.json'


def write_once(
    root: str | Path,
    manifest: dict,
    needed: Mapping[str, tuple[str, int]],
    write: Callable[[Path], None],
) -> None:
    """Writes a folder, unless it is already there.

    It appears under ``root`` only when complete: it is written beside it and renamed. A folder
    whose manifest says something else, or that misses a file, is replaced.

    Args:
        root: the folder.
        manifest: what the content depends on; it goes into the folder as ``manifest.json``.
        needed: what a complete folder holds: path -> pattern and number of the files below it, or
            an empty pattern for a file.
        write: writes everything else into the folder that it is given, which is new.

    Raises:
        FileExistsError: ``root`` holds something that was not written so.
    """
    root = Path(root).resolve()
    _check_replaceable(root)
    if _is_complete(root, manifest, needed):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    _sweep(root)
    partial = root.with_name(f'.{root.name}.partial-{os.getpid()}')
    try:
        partial.mkdir()
        write(partial)
        write_json(partial / MANIFEST, manifest)
        _publish(partial, root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_replaceable(root: Path) -> None:
    """Refuses a folder with content that is not demonstration data."""
    if not root.exists() or (root / MANIFEST).is_file():
        return
    if not root.is_dir() or any(root.iterdir()):
        raise FileExistsError(
            f'{root} exists and is not demonstration data; name a new or empty folder'
        )


def _is_complete(root: Path, manifest: dict, needed: Mapping[str, tuple[str, int]]) -> bool:
    try:
        if json.loads((root / MANIFEST).read_text(encoding='utf-8')) != manifest:
            return False
    except (OSError, ValueError):
        return False
    for name, (pattern, count) in needed.items():
        found = sum(1 for _ in (root / name).glob(pattern)) if pattern else (root / name).is_file()
        if found != count:
            return False
    return True


def _sweep(root: Path) -> None:
    """Removes what killed writers left beside the folder."""
    for pattern in ('partial', 'old'):
        for leftover in root.parent.glob(f'.{root.name}.{pattern}-*'):
            pid = int(leftover.name.rpartition('-')[2])
            if pid == os.getpid() or not _is_alive(pid):
                shutil.rmtree(leftover, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _publish(partial: Path, root: Path) -> None:
    """Puts the finished folder under its name, in place of older data."""
    old = root.with_name(f'.{root.name}.old-{os.getpid()}')
    if root.exists():
        root.rename(old)
    partial.rename(root)
    shutil.rmtree(old, ignore_errors=True)


class ImageCounter:
    """Counts images; shows the count on stderr about fifty times."""

    def __init__(self, total: int, shown: bool) -> None:
        self.total = total
        self.shown = shown
        self.done = 0
        self.step = max(total // (50 if sys.stderr.isatty() else 5), 1)

    def __call__(self) -> None:
        self.done += 1
        last = self.done == self.total
        if not self.shown or (self.done % self.step and not last):
            return
        line = f'demonstration data: {self.done}/{self.total} images'
        end = '\n' if last or not sys.stderr.isatty() else ''
        print(f'\r{line}' if sys.stderr.isatty() else line, end=end, file=sys.stderr, flush=True)
