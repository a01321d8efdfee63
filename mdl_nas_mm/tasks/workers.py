"""The processes that load data."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable


def end_with_parent(worker: int, then: Callable[[int], None] | None = None) -> None:
    """Lets a data loader's worker be ended by its parent alone, and end when that has ended.

    Clusters send SIGTERM to all processes. The training saves then, and may need some more steps
    and so its workers until all ranks do. What a worker forks is ended by SIGTERM as ever.

    Args:
        worker: its number.
        then: what else is done at the start of a worker.
    """
    if hasattr(signal, 'sigtimedwait'):
        parent = os.getppid()

        def wait() -> None:
            sender = None
            while sender != parent and os.getppid() == parent:
                told = signal.sigtimedwait({signal.SIGTERM}, 1.0)
                sender = told and told.si_pid
            os._exit(0)

        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        os.register_at_fork(after_in_child=_as_ever)
        threading.Thread(target=wait, daemon=True).start()
    if then is not None:
        then(worker)


def _as_ever() -> None:
    # torch has a handler of its own in workers.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
