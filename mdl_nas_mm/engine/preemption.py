"""Being asked to stop: a cluster sends SIGTERM some time before it kills."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import NoReturn

_EXIT = 128 + signal.SIGTERM
# No signal has this number: the block was left.
_LEFT = 0


class Stopped(BaseException):
    """This process leaves what it does, because it was asked to stop.

    No ``Exception``, so that nobody's code takes it for a failure of its own.
    """


class StopRequest:
    """Whether this process was asked to stop since the block was entered.

    Args:
        patience: seconds after which a process that was asked and is still in the block ends, as
            it does at a second SIGTERM: whatever it waits for, and without saving anything.
        same_request: seconds in which further signals belong to the first request. ``timeout``
            sends one to the process and one to its group, and torchrun passes on what its
            processes have got as well.

    Attributes:
        asked: whether it was asked.
    """

    def __init__(self, patience: float = 120.0, same_request: float = 2.0) -> None:
        self.asked, self.patience, self.same_request = False, patience, same_request
        self._may_leave = False

    @contextmanager
    def listening(self) -> Generator[None]:
        """Takes note of SIGTERM inside the block, instead of ending at once.

        Processes that are forked inside the block have the handler of before: theirs is not to
        take note, but to end.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        watched = _watched(self.patience, self.same_request)
        with watched as waker, _handled(self._note, waker):
            yield

    @contextmanager
    def leaving(self) -> Generator[None]:
        """Leaves the block, which may be left anywhere, when asked before or inside it.

        Raises:
            Stopped: then.
        """
        try:
            self._may_leave = True
            if self.asked:
                raise Stopped
            yield
        finally:
            self._may_leave = False

    def _note(self, *_: object) -> None:
        self.asked = True
        if self._may_leave:
            self._may_leave = False
            raise Stopped


@contextmanager
def _watched(patience: float, same_request: float) -> Generator[int]:
    """Where Python writes signals as they come, read by a thread that ends the process.

    A thread, because the main one runs no handler while it waits inside of a library, such as for
    another process.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    args = (reader, patience, same_request)
    thread = threading.Thread(target=_watch, args=args, daemon=True)
    thread.start()
    try:
        yield writer.fileno()
    finally:
        writer.setblocking(True)
        writer.sendall(bytes([_LEFT]))
        thread.join()
        reader.close()
        writer.close()


def _watch(reader: socket.socket, patience: float, same_request: float) -> None:
    first = None
    while True:
        if first is not None:
            reader.settimeout(max(first + patience - time.monotonic(), 1e-3))
        try:
            numbers = reader.recv(64)
        except TimeoutError:
            _end(f'stopped by SIGTERM without saving: it took longer than {patience:g} s')
        if _LEFT in numbers:
            return
        if signal.SIGTERM in numbers:
            first = first or time.monotonic()
            if time.monotonic() - first > same_request:
                _end('stopped by a second SIGTERM, without saving')


def _end(why: str) -> NoReturn:
    os.write(2, f'{why}; go on from the last checkpoint with --resume\n'.encode())
    os._exit(_EXIT)


# The handler and the file of before, which a process that is forked puts back; None if nothing is.
_before: tuple | None = None
_masks = threading.local()


@contextmanager
def _handled(handler: Callable, waker: int) -> Generator[None]:
    """Handles SIGTERM in this process alone, and reports signals to ``waker``."""
    global _before
    # None is said of a handler that is not Python's.
    before = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
    woken = signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    outer, _before = _before, (before, woken)
    signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.set_wakeup_fd(woken)
        _before = outer


def _hold() -> None:
    """Lets a signal to a process that is just forked wait until its handler is put back."""
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)


def _put_back() -> None:
    global _before
    if _before is not None:
        handler, woken = _before
        signal.signal(signal.SIGTERM, handler)
        signal.set_wakeup_fd(woken)
        _before = None
    _release()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_put_back)
