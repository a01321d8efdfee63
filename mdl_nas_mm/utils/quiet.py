"""Silence for code that prints on every call."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Generator

from .private import loggers
from .process_wide import process_wide


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Drops what is printed or logged below warnings inside the block.

    One thread at a time is inside, as others could not put back what they have found.
    """
    with process_wide():
        talking = [*loggers(), logging.getLogger()]
        levels = [logger.level for logger in talking]
        for logger in talking:
            logger.setLevel(logging.WARNING)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        finally:
            for logger, level in zip(talking, levels):
                logger.setLevel(level)
