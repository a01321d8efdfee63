"""Runs a function in several processes of one machine, connected as torchrun connects them."""

import multiprocessing
import os
import socket
import traceback

import torch


def free_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


def _enter(rank, world_size, port, log, function, args):
    os.environ.update(
        RANK=str(rank),
        WORLD_SIZE=str(world_size),
        LOCAL_RANK=str(rank),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )
    torch.set_num_threads(1)
    with open(log, 'w') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            function(*args)
        except BaseException:
            traceback.print_exc()
            file.flush()
            os._exit(1)
    # Nothing of the parent, such as its fixtures, is torn down here.
    os._exit(0)


def run_processes(world_size, function, *args, folder, timeout=240):
    """Calls ``function(*args)`` in each of the processes.

    Returns:
        What each has printed, when all have ended well.

    Raises:
        AssertionError: one of them failed or took too long; with what it printed.
    """
    # Forked, so that each begins with all libraries loaded.
    context, port = multiprocessing.get_context('fork'), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    logs = [folder / f'rank_{rank}.log' for rank in range(world_size)]
    processes = [
        context.Process(target=_enter, args=(rank, world_size, port, logs[rank], function, args))
        for rank in range(world_size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout)
    for process in processes:
        if process.is_alive():
            process.kill()
            process.join()
    texts = [log.read_text() for log in logs]
    failed = [rank for rank, process in enumerate(processes) if process.exitcode]
    details = '\n'.join(texts[rank][-3000:] for rank in failed)
    assert not failed, f'ranks {failed} of {world_size} failed\n{details}'
    return texts
