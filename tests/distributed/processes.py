"""Runs a function in several processes of one machine, connected as torchrun connects them.

They do without GPUs, over gloo, unless a test says that each shall have one, over NCCL. Forked
processes begin with what is loaded here, but cannot use CUDA where anybody has looked for it
before; those with a GPU are new ones, which load the function by its name.
"""

import multiprocessing
import os
import socket
import time
import traceback

import mmdet.utils
import mmengine.device.utils
import mmpretrain.utils
import mmseg.utils
import torch

for library in (mmdet, mmpretrain, mmseg):
    library.utils.register_all_modules(init_default_scope=False)
# An export or a compilation gives torch a stand-in for a GPU where there is none. A first backward
# pass after that starts a thread for it, and no process that is forked from then on can do one.
if not torch.cuda.is_available():
    torch.ones(1, requires_grad=True).sum().backward()


def free_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


def _enter(rank, world_size, port, log, gpus, function, args):
    if not gpus:
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
        # mmengine has looked when it was imported.
        mmengine.device.utils.DEVICE = 'cpu'
    os.environ.update(
        RANK=str(rank),
        WORLD_SIZE=str(world_size),
        LOCAL_RANK=str(rank),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )
    torch.set_num_threads(1)
    with open(log, 'w', buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        code = 0
        try:
            function(*args)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
            print(error.code, file=file)
        except BaseException:
            traceback.print_exc(file=file)
            code = 1
        # Nothing of the parent, such as its fixtures, is torn down here.
        file.flush()
        os._exit(code or 0)


class Processes:
    """Processes that run ``function(*args)``, each with its output in a file of the folder."""

    def __init__(self, world_size, function, *args, folder, gpus=False):
        context = multiprocessing.get_context('spawn' if gpus else 'fork')
        port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.logs = [folder / f'rank_{rank}.txt' for rank in range(world_size)]
        self.processes = [
            context.Process(target=_enter, args=(rank, world_size, port, log, gpus, function, args))
            for rank, log in enumerate(self.logs)
        ]
        for process in self.processes:
            process.start()

    def __getitem__(self, rank):
        return self.processes[rank]

    def wait(self, timeout=240):
        """Their exit codes; those that take too long are killed."""
        end = time.monotonic() + timeout
        for process in self.processes:
            process.join(max(0, end - time.monotonic()))
        late = [rank for rank, process in enumerate(self.processes) if process.is_alive()]
        for process in self.processes:
            process.kill()
            process.join()
        assert not late, f'ranks {late} did not end in {timeout} s\n{self.texts(late)}'
        return [process.exitcode for process in self.processes]

    def outputs(self):
        """What each has printed so far."""
        return [log.read_text() for log in self.logs]

    def texts(self, ranks):
        """The ends of what some have printed."""
        outputs = self.outputs()
        return '\n'.join(f'--- rank {rank}\n{outputs[rank][-3000:]}' for rank in ranks)


def run_processes(world_size, function, *args, folder, timeout=240, gpus=False):
    """Calls ``function(*args)`` in each of the processes.

    Returns:
        What each has printed, when all have ended well.

    Raises:
        AssertionError: one of them failed or took too long; with what it printed.
    """
    processes = Processes(world_size, function, *args, folder=folder, gpus=gpus)
    codes = processes.wait(timeout)
    failed = [rank for rank, code in enumerate(codes) if code]
    assert not failed, f'ranks {failed} of {world_size} failed\n{processes.texts(failed)}'
    return processes.outputs()
