"""Ends a command line with one line of what is wrong, wherever among the processes it is."""

from __future__ import annotations

import os
import socket
import sys
import time
import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
import torch.distributed as dist

from mdl_nas_mm.tasks.failures import TaskError
from mdl_nas_mm.utils.early_errors import error_line, nobody_reads
from mdl_nas_mm.utils.private import default_store

# Where the processes' common store has the error of a rank that failed, how many there are, the
# host and id of a rank's process, that these are known, and that a rank has noticed what happened.
_ERROR, _COUNT = 'mdl_nas_mm.error', 'mdl_nas_mm.errors'
_PROCESS, _KNOWN, _HERE = 'mdl_nas_mm.process', 'mdl_nas_mm.known', 'mdl_nas_mm.here'
# Ranks that wait for the same one give up at nearly the same time.
_SECONDS = 10.0
RESUME = 'go on with --resume'
AGAIN = 'the same command goes on from here'


@contextmanager
def one_line_errors(go_on: str = RESUME) -> Generator[None]:
    """Ends the process with one line for what a user can put right, instead of a traceback.

    Where it is wrong on another rank, this one notices that the connection is lost. The first
    rank, at whose output people look, then says what the other has said, or which one is gone.

    Args:
        go_on: what to do when the process was interrupted, or another one is lost.
    """
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        raise SystemExit(f'interrupted; {go_on}') from None
    except Exception as error:
        if isinstance(error, BrokenPipeError) and nobody_reads():
            raise SystemExit(1) from None
        if _is_lost_connection(error):
            gone, text = _what_happened(go_on)
            _wait_for_readers(gone)
            speaks = dist.get_rank() == min(set(range(dist.get_world_size())) - set(gone))
            raise SystemExit(f'error: {text}' if speaks else 1) from error
        _tell_others(_line(error))
        _wait_for_readers()
        if isinstance(error, TaskError) and not error.is_clear:
            traceback.print_exc()
        if _is_for_users(error):
            raise SystemExit(f'error: {_line(error)}') from error
        raise


def _is_for_users(error: BaseException) -> bool:
    """Whether one line of it is enough; else it is a fault in code, whose place has to be seen."""
    kinds = (ValueError, OSError, FloatingPointError, MemoryError)
    return isinstance(error, kinds) or _is_out_of_memory(error)


def _line(error: BaseException) -> str:
    """What an exception says, in one line."""
    text = error_line(error)
    if isinstance(error, MemoryError) or _is_out_of_memory(error):
        return f'not enough memory: {text}'
    return text if text and _is_for_users(error) else f'{type(error).__name__}: {text}'


def _is_out_of_memory(error: BaseException) -> bool:
    is_cpu = isinstance(error, RuntimeError) and 'DefaultCPUAllocator' in str(error)
    return is_cpu or isinstance(error, torch.cuda.OutOfMemoryError)


def announce() -> None:
    """Lets the other ranks know this process, so that they can say so when it is gone."""
    default_store().set(f'{_PROCESS}.{dist.get_rank()}', f'{socket.gethostname()} {os.getpid()}')
    _mark(_KNOWN)


def _mark(name: str) -> None:
    default_store().add(f'{name}.{dist.get_rank()}', 1)


def _is_marked(name: str, rank: int) -> bool:
    """Whether a rank has marked it; torch 2.1 cannot ask whether a key is there."""
    return default_store().add(f'{name}.{rank}', 0) > 0


def _tell_others(line: str) -> None:
    if dist.is_initialized():
        # Rank 0, which may have the store, may have ended with the same error.
        with suppress(RuntimeError):
            default_store().set(_ERROR, f'{line} (rank {dist.get_rank()})')
            default_store().add(_COUNT, 1)
            _mark(_HERE)


def _wait_for_readers(gone: Sequence[int] = ()) -> None:
    """Lets the ranks that are not gone read why they end, where the store is in this process."""
    has_store = dist.is_initialized() and dist.get_rank() == 0
    if not has_store or os.environ.get('TORCHELASTIC_USE_AGENT_STORE') == 'True':
        return
    end, ranks = time.monotonic() + _SECONDS, set(range(dist.get_world_size())) - set(gone)
    while time.monotonic() < end and not all(_is_marked(_HERE, r) for r in ranks):
        time.sleep(0.05)


def _is_lost_connection(error: Exception) -> bool:
    """Whether it was another rank that did not answer; gloo has no exception of its own."""
    # Upstream's losses and norms talk to other ranks as well.
    cause = error.__cause__ if isinstance(error, TaskError) else error
    is_torchs = type(cause).__module__ == 'torch.distributed' or 'gloo' in str(cause)
    return dist.is_initialized() and isinstance(cause, RuntimeError) and is_torchs


def _what_happened(go_on: str) -> tuple[list[int], str]:
    """Which ranks are gone where a connection was lost, and what there is to say of it."""
    try:
        if default_store().add(_COUNT, 0):
            text = default_store().get(_ERROR).decode()
            _mark(_HERE)
            return [], text
        gone, text = _who_is_gone()
        return gone, f'{text}; {go_on}'
    except RuntimeError:
        return [0], f'rank 0, or what has started it, has ended; {go_on}'


def _who_is_gone() -> tuple[list[int], str]:
    """The ranks that have ended without a word or, if none has, that do not answer."""
    _mark(_HERE)
    end = time.monotonic() + _SECONDS
    while True:
        processes = {rank: _process(rank) for rank in range(dist.get_world_size())}
        ended = [rank for rank, process in processes.items() if _has_ended(*process)]
        if ended:
            return ended, f'{_named(ended, processes)} ended without a word, perhaps killed'
        silent = [rank for rank in processes if not _is_marked(_HERE, rank)]
        if not silent:
            return [], 'the connection between the processes was lost'
        if time.monotonic() > end:
            return silent, f'no answer from {_named(silent, processes)}, which hangs or is gone'
        time.sleep(0.1)


def _process(rank: int) -> tuple[str, int]:
    if not _is_marked(_KNOWN, rank):
        return 'an unknown host', 0
    host, _, number = default_store().get(f'{_PROCESS}.{rank}').decode().rpartition(' ')
    return host, int(number)


def _named(ranks: list[int], processes: dict[int, tuple[str, int]]) -> str:
    return ', '.join(f'rank {r} (process {processes[r][1]} of {processes[r][0]})' for r in ranks)


def _has_ended(host: str, number: int) -> bool:
    """Whether a process of this host has ended; of another one, that is not known here."""
    if host != socket.gethostname():
        return False
    with suppress(OSError):
        # After the name: Z for a process that has ended, of which its parent has not taken note.
        return Path(f'/proc/{number}/stat').read_text().rpartition(')')[2].split()[0] in 'ZX'
    return Path('/proc/self').exists()
