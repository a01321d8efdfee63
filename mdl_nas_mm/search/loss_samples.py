"""Losses of random joint specs, measured on any number of processes and kept in files."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed as dist
from mmengine.logging import MMLogger

from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.engine.groups import new_group
from mdl_nas_mm.engine.launch import backend_of, check_same_config, start_processes
from mdl_nas_mm.tasks import ResolvedConfig, sampled_spaces

from .columns import JointColumns
from .loss_files import appending, read_losses
from .losses import LossEvaluator, data_of_losses

_TIMEOUT = timedelta(hours=12)
_SECONDS_BETWEEN_LINES = 10


def measure_losses(
    cfg: ResolvedConfig,
    checkpoint: str | Path,
    folder: str | Path,
    samples: int = 2000,
    seed: int = 0,
    launcher: str = 'none',
) -> tuple[JointColumns, np.ndarray, np.ndarray] | None:
    """Measures the losses of random joint specs; goes on where an earlier run stopped.

    The first two are the largest and the smallest; all of them follow from the seed, so that more
    samples begin with the same ones. Each process writes a file of its own, and each loss is on
    disk before the next one is measured.

    Args:
        cfg: a resolved joint config, whose ``search_dataloader`` says on which images.
        checkpoint: the trained supernet.
        folder: of the files.
        samples: how many joint specs.
        seed: of what is random.
        launcher: what has started the processes: ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Returns:
        The columns, rows of places (n, columns), and losses (n, tasks); None on other ranks than
        the first.

    Raises:
        ValueError: the files are of another supernet, or a loss is not finite.
    """
    if launcher != 'none':
        start_processes(launcher, _TIMEOUT, backend_of(cfg))
        check_same_config(cfg)
    processes = dist.get_world_size() if dist.is_initialized() else 1
    rank = dist.get_rank() if processes > 1 else 0
    solo = None
    if processes > 1:
        solo = new_group([rank], _TIMEOUT, use_local_synchronization=True)
    model = load_supernet(cfg, checkpoint)
    columns = JointColumns(
        {t: s for t, s in sampled_spaces(cfg, model.backbone.space).items() if t in cfg.tasks}
    )
    header = data_of_losses(cfg, checkpoint) | dict(seed=seed)
    known = _gathered(_read_all(Path(folder), header, columns), processes)
    missing = [number for number in range(samples) if number not in known]
    evaluator = LossEvaluator(model, cfg, solo)
    path = Path(folder) / f'losses.{rank}.jsonl'
    own = missing[rank::processes]
    done = _progress(len(own), rank)
    with appending(path, header) as write:
        for number in own:
            losses = evaluator(columns.joint(_row(columns, seed, number)))
            write(dict(sample=number, losses=losses))
            known[number] = losses
            done()
    known = _gathered(known, processes)
    if rank:
        return None
    rows = np.stack([_row(columns, seed, number) for number in range(samples)])
    measured = [[known[n][task] for task in columns.spaces] for n in range(samples)]
    return columns, rows, np.array(measured)


def _row(columns: JointColumns, seed: int, number: int) -> np.ndarray:
    """The places of a sample."""
    if number < 2:
        return (columns.choices - 1) * (1 - number)
    return columns.sample(1, np.random.default_rng((seed, number)))[0]


def _gathered(known: dict[int, dict], processes: int) -> dict[int, dict]:
    """What all processes know."""
    if processes == 1:
        return known
    found: list[Any] = [None] * processes
    dist.all_gather_object(found, known)
    return {number: losses for own in found for number, losses in own.items()}


def _read_all(folder: Path, header: Mapping, columns: JointColumns) -> dict[int, dict]:
    """Sample -> its losses, of all files of a folder."""
    known: dict[int, dict] = {}
    for path in sorted(folder.glob('losses.*.jsonl')):
        known.update(read_losses(path, header, columns.spaces))
    return known


def _progress(samples: int, rank: int) -> Callable[[], None]:
    """What is called after each sample; the first process logs how far it is."""
    logger, started, numbers = MMLogger.get_current_instance(), time.monotonic(), count(1)
    said = started

    def done() -> None:
        nonlocal said
        number, now = next(numbers), time.monotonic()
        if rank == 0 and (now - said > _SECONDS_BETWEEN_LINES or number == samples):
            said = now
            left = (now - started) / number * (samples - number)
            logger.info(
                f'Losses: {number}/{samples} of this process, eta {timedelta(seconds=round(left))}'
            )

    return done
