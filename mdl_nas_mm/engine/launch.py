"""Starts the connections between processes, and makes sure that they run the same thing."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch
import torch.distributed as dist
from mmengine.config import Config

import mdl_nas_mm

_NEEDED = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
}


def start_processes(launcher: str, timeout: timedelta) -> None:
    """Connects the processes of a launcher: over NCCL with GPUs, over gloo without.

    Raises:
        ValueError: the launcher's environment variables are not there.
    """
    for name in _NEEDED[launcher]:
        if name not in os.environ:
            raise ValueError(
                f'launcher {launcher!r}: the environment variable {name} is not set; start with '
                'torchrun, srun or mpirun, or with --launcher none'
            )
    if dist.is_initialized():
        return
    if launcher == 'slurm':
        _slurm_to_torch()
    elif launcher == 'mpi':
        os.environ.setdefault('RANK', os.environ['OMPI_COMM_WORLD_RANK'])
        os.environ.setdefault('WORLD_SIZE', os.environ['OMPI_COMM_WORLD_SIZE'])
        os.environ['LOCAL_RANK'] = os.environ.get('OMPI_COMM_WORLD_LOCAL_RANK', '0')
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ['LOCAL_RANK']) % torch.cuda.device_count())
        dist.init_process_group('nccl', timeout=timeout)
    else:
        dist.init_process_group('gloo', timeout=timeout)


def _slurm_to_torch() -> None:
    """Says in torch's variables what Slurm says in its own."""
    environ = os.environ
    environ['RANK'], environ['WORLD_SIZE'] = environ['SLURM_PROCID'], environ['SLURM_NTASKS']
    environ['LOCAL_RANK'] = environ.get('SLURM_LOCALID', '0')
    environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in environ:
        hosts = ('scontrol', 'show', 'hostname', environ['SLURM_NODELIST'])
        names = subprocess.run(hosts, capture_output=True, text=True, check=True).stdout
        environ['MASTER_ADDR'] = names.split()[0]


# Where the processes' common store has the error of a rank that failed, and how many there are.
_ERROR, _COUNT = 'mdl_nas_mm.error', 'mdl_nas_mm.errors'


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the process with one line for what a user can put right, instead of a traceback.

    Where it is wrong on another rank, this one notices that the connection is lost. The first
    rank, at whose output people look, then says what the other has said.
    """
    try:
        yield
    except (ValueError, FileNotFoundError, FloatingPointError) as error:
        _tell_others(error)
        raise SystemExit(f'error: {error}') from error
    except RuntimeError as error:
        told = _error_of_another()
        if told is None:
            raise
        raise SystemExit(1 if dist.get_rank() else f'error: {told}') from error


def _tell_others(error: Exception) -> None:
    if dist.is_initialized():
        # Rank 0, which may have the store, may have ended with the same error.
        with suppress(RuntimeError):
            _store().set(_ERROR, f'{error} (rank {dist.get_rank()})')
            _store().add(_COUNT, 1)


def _error_of_another() -> str | None:
    if not dist.is_initialized():
        return None
    try:
        return _store().get(_ERROR).decode() if _store().add(_COUNT, 0) else None
    except RuntimeError:
        return 'rank 0, or what has started it, has ended'


def _store() -> dist.Store:
    # torch has no public way to reach the store that it has made from the environment.
    return dist.distributed_c10d._get_default_store()


def check_same_config(cfg: Config) -> None:
    """Raises ValueError, on every rank, where ranks have different configs or versions."""
    if not dist.is_initialized():
        return
    content = f'{mdl_nas_mm.__version__} {torch.__version__} {cfg.pretty_text}'
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    digests = [None] * dist.get_world_size()
    dist.all_gather_object(digests, digest)
    different = [rank for rank, other in enumerate(digests) if other != digests[0]]
    if different:
        raise ValueError(
            f'ranks {different} have another config or other versions than rank 0; start all '
            'with the same files'
        )
