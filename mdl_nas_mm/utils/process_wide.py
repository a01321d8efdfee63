"""What is one for all threads of a process, and the lock that guards it."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager

_LOCK = threading.RLock()


@contextmanager
def process_wide() -> Generator[None]:
    """Lets no other thread inside such a block.

    It is for what changes mmengine's default scope, registries, which import what is asked for,
    random states, torch's default device, loggers, or the state of matplotlib. Blocks may be
    nested. A process that is forked from a thread meanwhile, such as a data loader's worker, has
    a lock of its own.
    """
    with _LOCK:
        yield


def _renew() -> None:
    """In a forked process nobody would release what another thread held."""
    global _LOCK
    _LOCK = threading.RLock()


os.register_at_fork(after_in_child=_renew)
