"""Starts the connections between processes, and makes sure that they run the same thing."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from datetime import timedelta

import torch
import torch.distributed as dist
from mmengine.config import Config

import mdl_nas_mm
from mdl_nas_mm.utils.config_file import plain_text
from mdl_nas_mm.utils.one_line import first_line

from .errors import announce

_NEEDED = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
}


BACKENDS = ('nccl', 'gloo')


def backend_of(cfg: Mapping) -> str:
    """The backend that a joint config asks for, where there are GPUs."""
    return ((cfg.get('env_cfg') or {}).get('dist_cfg') or {}).get('backend', BACKENDS[0])


def start_processes(launcher: str, timeout: timedelta, backend: str = 'nccl') -> None:
    """Connects the processes of a launcher.

    Args:
        launcher: ``pytorch``, ``slurm`` or ``mpi``.
        timeout: after which processes that wait for another one give up.
        backend: one of ``BACKENDS``, with GPUs; without, processes speak gloo.

    Raises:
        ValueError: the launcher's environment variables are not there, or a port is in use.
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
    else:
        backend = 'gloo'
    try:
        dist.init_process_group(backend, timeout=timeout)
    except RuntimeError as error:
        address = f'{os.environ["MASTER_ADDR"]}:{os.environ["MASTER_PORT"]}'
        raise ValueError(
            f'launcher {launcher!r}: rank {os.environ["RANK"]} has no connection at {address}, '
            f'MASTER_ADDR and MASTER_PORT: {first_line(error)}'
        ) from error
    announce()


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


def check_same_config(cfg: Config) -> None:
    """Raises ValueError, on every rank, where ranks have different configs or versions."""
    if not dist.is_initialized():
        return
    content = f'{mdl_nas_mm.__version__} {torch.__version__} {plain_text(cfg)}'
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    digests = [None] * dist.get_world_size()
    dist.all_gather_object(digests, digest)
    different = [rank for rank, other in enumerate(digests) if other != digests[0]]
    if different:
        raise ValueError(
            f'ranks {different} have another config or other versions than rank 0; start all '
            'with the same files'
        )
