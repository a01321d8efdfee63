"""How far a step is: read from pip's output, shown as one line."""

from __future__ import annotations

import re
import shutil
import sys
import time
from typing import IO, NamedTuple

QUIET_SECONDS = 15  # without a terminal: one line of progress in so many seconds


class Progress(NamedTuple):
    """What one line of pip's output says about how far it is."""

    text: str
    done: int = 0
    total: int = 0


def parse_progress(line: str) -> Progress | None:
    """Read one line of pip's output.

    Args:
        line: A line as pip prints it with ``-v --progress-bar raw``.

    Returns:
        What it says: a compiled file (``[37/78] c++ ...`` of ninja), the bytes of a download
        (``Progress 1024 of 4096`` of pip), or the name of what is fetched, built or installed;
        ``None`` for a line that says nothing about progress.
    """
    line = line.strip()
    compiled = re.match(r'\[(\d+)/(\d+)\] ', line)
    if compiled:
        return Progress('compiling', int(compiled.group(1)), int(compiled.group(2)))
    bytes_ = re.match(r'Progress (\d+) of (\d+)$', line)
    if bytes_:
        return Progress('downloading', int(bytes_.group(1)), int(bytes_.group(2)))
    step = re.match(r'(Collecting|Downloading|Building wheels? for|Installing) (\S+)', line)
    if step:
        what = 'packages' if step.group(2) == 'collected' else step.group(2)
        return Progress(f'{step.group(1).lower()} {what.rsplit("/", 1)[-1].rstrip(":,")}')
    return None


def clock(seconds: float) -> str:
    """Write a duration as ``m:ss``."""
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'


def show(progress: Progress, elapsed: float, counted: float) -> str:
    """Write progress as a line: a bar, percent and the time left where they are known.

    Args:
        progress: How far it is.
        elapsed: Seconds since the step began.
        counted: Seconds since this count (of files, of bytes) began.
    """
    if not progress.total:
        return f'{progress.text}, {clock(elapsed)}'
    share = progress.done / progress.total
    bar = ('#' * round(24 * share)).ljust(24, '.')
    left = counted / share - counted if share else 0
    return f'{progress.text} [{bar}] {share:4.0%}, {clock(elapsed)}, about {clock(left)} left'


class Reporter:
    """Shows that a step is alive: one line rewritten on a terminal, else a line now and then."""

    def __init__(self, stream: IO[str] = sys.stdout) -> None:
        self.stream = stream
        self.live = stream.isatty()
        self.start = self.counted = time.monotonic()
        self.printed = self.start
        self.progress = Progress('working')

    def update(self, progress: Progress | None) -> None:
        """Take in what a line of output said, and show it when it is time."""
        now = time.monotonic()
        if progress is not None:
            if progress.text != self.progress.text or progress.total != self.progress.total:
                self.counted = now
            self.progress = progress
        if now - self.printed < (0.2 if self.live else QUIET_SECONDS):
            return
        self.printed = now
        line = show(self.progress, now - self.start, now - self.counted)
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write('\r\033[K' + ('      ' + line)[:width])
        else:
            self.stream.write(f'      {line}\n')
        self.stream.flush()

    def close(self) -> float:
        """Clear the live line; return the seconds since the start."""
        if self.live:
            self.stream.write('\r\033[K')
            self.stream.flush()
        return time.monotonic() - self.start
