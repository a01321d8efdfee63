"""Runs a command of ``mdl-nas`` on several processes of this machine, as torchrun does.

Where there is no GPU they are forked from one process that has imported everything, which takes
longer than all else that a process does before its first step. CUDA cannot be forked.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
import threading
import time
import traceback
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from multiprocessing import connection, forkserver
from multiprocessing.process import BaseProcess
from types import ModuleType

import torch
from torch.distributed import TCPStore
from torch.multiprocessing import start_processes

_HOST = '127.0.0.1'
# What torchrun gives processes to end in that were asked to.
_SECONDS = 30.0


def _start_method() -> str:
    forks = 'forkserver' in multiprocessing.get_all_start_methods()
    return 'forkserver' if forks and not torch.cuda.device_count() else 'spawn'


def import_ahead(libraries: Collection[str] = ()) -> None:
    """Begins, in the background, to import what processes will need that are forked later.

    Called again it does nothing.

    Args:
        libraries: of the tasks, as ``mmdet``; what they register is imported as well.
    """
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    if _start_method() != 'forkserver':
        return
    parts = ('models', 'datasets', 'evaluation', 'visualization')
    of_libraries = [f'{library}.{part}' for library in libraries for part in parts]
    multiprocessing.set_forkserver_preload(['mdl_nas_mm.apis.pipeline', *of_libraries])
    forkserver.ensure_running()


def run_on_processes(processes: int, *command: str) -> bool:
    """Runs ``mdl-nas COMMAND`` on several processes, which find each other by the environment.

    They have one thread each, unless ``OMP_NUM_THREADS`` says otherwise. When one of them fails,
    the others are asked to end by SIGTERM, and killed half a minute later.

    Args:
        processes: how many.
        command: its name, and its arguments.

    Returns:
        Whether all have ended well; those that have not have said why.
    """
    import_ahead()
    # Here, since a port that only seems to be free may be taken until a worker opens it.
    store = TCPStore(_HOST, 0, is_master=True, wait_for_workers=False)
    environment = dict(
        os.environ,
        WORLD_SIZE=str(processes),
        LOCAL_WORLD_SIZE=str(processes),
        MASTER_ADDR=_HOST,
        MASTER_PORT=str(store.port),
        # The store is here; torch 2.1 asks for the number, too.
        TORCHELASTIC_USE_AGENT_STORE='True',
        TORCHELASTIC_RESTART_COUNT='0',
    )
    with _main_stays_here():
        context = start_processes(
            _work, (environment, command), processes, join=False, start_method=_start_method()
        )
    assert context is not None
    workers = context.processes
    try:
        running = list(workers)
        while running and not any(worker.exitcode for worker in workers):
            connection.wait([worker.sentinel for worker in running])
            running = [worker for worker in running if worker.exitcode is None]
    finally:
        _end(workers)
    return not any(worker.exitcode for worker in workers)


def _work(rank: int, environment: Mapping[str, str], command: tuple[str, ...]) -> None:
    """What one process does; ends it with the exit code of the command."""
    os.environ.clear()
    os.environ.update(environment, RANK=str(rank), LOCAL_RANK=str(rank))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv[:] = ['mdl-nas', *command]
    try:
        runpy.run_module('mdl_nas_mm', run_name='__main__')
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None


def _end_with_parent() -> None:
    """Asks this process to end when the one that has started it is gone, also if it was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _end(workers: Collection[BaseProcess]) -> None:
    """Ends those that run, the hard way where they do not end when asked to."""
    for worker in workers:
        if worker.is_alive():
            worker.terminate()
    until = time.monotonic() + _SECONDS
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))
        if worker.is_alive():
            worker.kill()
            worker.join()


@contextmanager
def _main_stays_here() -> Generator[None]:
    """Processes that start inside do not import the script that starts them, to run it again."""
    script = sys.modules['__main__']
    sys.modules['__main__'] = ModuleType('__main__')
    try:
        yield
    finally:
        sys.modules['__main__'] = script
