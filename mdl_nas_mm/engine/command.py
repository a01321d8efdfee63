"""What surrounds the main function of a command: its answers alone are on stdout."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, redirect_stdout
from functools import partial

from mmengine.logging import MMLogger

from mdl_nas_mm.utils.private import loggers, show_on

from .errors import RESUME, one_line_errors
from .log_lines import on_screen, screens


@contextmanager
def command(name: str, level: str = 'INFO', go_on: str = RESUME) -> Generator[Callable[..., None]]:
    """Keeps what a command answers apart from all else that is said, so that scripts can read it.

    What libraries log or print inside of the block goes to stderr, such as upstream's tables of
    an evaluation, whichever of mmengine's loggers is the current one.

    Args:
        name: of the command, and of its logger.
        level: the least that is logged.
        go_on: see ``one_line_errors``.

    Yields:
        What prints an answer, as ``print`` does.
    """
    answers = sys.stdout
    with one_line_errors(go_on), redirect_stdout(sys.stderr), _logged_on_stderr():
        for screen in screens(MMLogger.get_instance(name, log_level=level)):
            screen.addFilter(on_screen)
        yield partial(print, file=answers)


@contextmanager
def _logged_on_stderr() -> Generator[None]:
    """What loggers that are there already show on the screen goes to stderr inside the block."""
    before = [(screen, screen.stream) for logger in loggers() for screen in screens(logger)]
    for screen, _ in before:
        show_on(screen, sys.stderr)
    try:
        yield
    finally:
        for screen, stream in before:
            show_on(screen, stream)
