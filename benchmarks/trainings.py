"""What experiments of several trainings have in common: rows on disk, trainings that go on."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mdl_nas_mm.apis.pipeline import train_stage, trained_checkpoint
from mdl_nas_mm.utils.files import write_json
from mdl_nas_mm.utils.quiet import quiet


class Rows:
    """Rows of several seeds, each a file, so that an interrupted experiment goes on where it was.

    Args:
        folder: of the files, ``seed<seed>/<name>.json``.
        measure: gives a row of a name and a seed.
        total: how many rows there are, of all seeds.
    """

    def __init__(
        self, folder: Path, measure: Callable[[str, int], dict[str, Any]], total: int
    ) -> None:
        self.folder, self.measure, self.total = folder, measure, total
        self.done, self.spent = 0, []

    def path(self, name: str, seed: int) -> Path:
        """Of a row's file."""
        return self.folder / f'seed{seed}' / f'{name}.json'

    def row(self, name: str, seed: int) -> dict[str, Any]:
        """What was measured, and in how many seconds."""
        path = self.path(name, seed)
        self.done += 1
        if path.is_file():
            return json.loads(path.read_text())
        left = ''
        if self.spent:
            rest = statistics.fmean(self.spent) * (self.total - self.done + 1)
            left = f', about {rest / 60:.0f} min left'
        now = time.strftime('%H:%M:%S')
        print(f'{now} [{self.done}/{self.total}] {name}, seed {seed}{left}', flush=True)
        started = time.monotonic()
        found = self.measure(name, seed)
        self.spent.append(time.monotonic() - started)
        write_json(path, dict(found, seconds=round(self.spent[-1], 1)))
        return found


def trained(cfg: Config, folder: Path) -> Path:
    """The checkpoint of a training, which is done in the folder unless it was."""
    if not (folder / 'done').is_file():
        with quiet():
            train_stage(cfg, folder)
        (folder / 'done').touch()
    return trained_checkpoint(folder)


def set_steps(cfg: Config, steps: int) -> None:
    """Another length of training, its schedule of a warm-up and a cosine included."""
    warm = max(1, steps // 10)
    cfg.train_cfg.update(max_iters=steps, val_interval=steps)
    first, second = cfg.param_scheduler
    first.end = second.begin = warm
    second.T_max = max(1, steps - warm)


def shown(values: Sequence[float], digits: int = 2) -> str:
    """Mean and deviation of a sample; ``-`` of none."""
    if not values:
        return '-'
    deviation = f' ± {statistics.stdev(values):.{digits}f}' if len(values) > 1 else ''
    # Zero is not to be negative.
    return f'{round(statistics.fmean(values), digits) + 0.0:.{digits}f}{deviation}'
