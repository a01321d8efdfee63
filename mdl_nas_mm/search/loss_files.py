"""Files of losses, one line a sample behind a header, which make measuring them resumable."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path

from mdl_nas_mm.utils.files import held, named_failures
from mdl_nas_mm.utils.strict_json import strict_json


def read_losses(path: Path, header: Mapping, tasks: Iterable[str]) -> dict[int, dict]:
    """Number of a sample -> its losses; a last line that a kill has cut short is left out.

    Args:
        path: a file that ``appending`` has written.
        header: all that the losses depend on, as JSON has it.
        tasks: of which there are losses.

    Raises:
        ValueError: it has another header, or is damaged.
    """
    first, *lines = path.read_bytes().splitlines(keepends=True) or [b'']
    if not first.endswith(b'\n'):
        return {}
    found = {}
    try:
        theirs = strict_json(first)
        for line in lines:
            if line.endswith(b'\n'):
                entry = strict_json(line)
                losses = {task: float(entry['losses'][task]) for task in tasks}
                found[int(entry['sample'])] = losses
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f'{path}: damaged ({str(error)[:200]!r})') from None
    for key in header:
        if not isinstance(theirs, Mapping) or theirs.get(key) != header[key]:
            raise ValueError(f'{path} is of something else: {key!r} differs; choose another folder')
    return found


@contextmanager
def appending(path: Path, header: Mapping) -> Generator[Callable[[Mapping], None]]:
    """Appends lines to a file, each on disk before the next; begins it if it is not there.

    Raises:
        ValueError: another process appends to it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f'.{path.name}.lock')
    busy = f'{path}: another process is writing it; wait for it, or choose another folder'
    with held(lock, busy), named_failures(path), path.open('ab') as file:
        content = path.read_bytes()
        # What a kill has left of a line.
        file.truncate(content.rfind(b'\n') + 1)

        def write(entry: Mapping) -> None:
            file.write(json.dumps(entry, allow_nan=False).encode() + b'\n')
            file.flush()
            os.fsync(file.fileno())

        if b'\n' not in content:
            write(header)
        yield write
