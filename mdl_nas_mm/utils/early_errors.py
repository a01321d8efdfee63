"""Ends a command line with one line of what is wrong, of what is done before large imports."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def early_errors() -> Generator[None]:
    """As ``mdl_nas_mm.engine.errors.one_line_errors``, of a single process without torch."""
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        raise SystemExit('interrupted') from None
    except (ValueError, OSError) as error:
        if isinstance(error, BrokenPipeError) and nobody_reads():
            raise SystemExit(1) from None
        raise SystemExit(f'error: {error_line(error)}') from error


def nobody_reads() -> bool:
    """Whether who was to read the output has gone, as ``head`` does; nothing is written then."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    is_gone = any(event & select.POLLERR for _, event in poll.poll(0))
    if is_gone:
        # Python tries once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return is_gone


def error_line(error: BaseException) -> str:
    """What an exception says, in one line."""
    if isinstance(error, OSError) and error.strerror:
        # "[Errno 28] No space left on device: 'name'", for users.
        return error.strerror + (f': {error.filename}' if error.filename else '')
    return ' '.join(str(error).split('\n')).strip()
