"""Metrics of the bundled rooms' tasks that share computation, and their time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from measuring import medians
from torch import Tensor

from mdl_nas_mm.apis.shared_scores import SharedModels, images_of, score_and_metrics
from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.methods.computation_sharing.running import SharingSettings
from mdl_nas_mm.tasks import delta_t, relative_change

# Metric of each task of the rooms, and whether more is better.
METRICS = dict(
    seg=('mIoU', True), depth=('rmse', False), normals=('mean', False), edges=('odsF', True)
)
HELD_OUT = dict(ann_file='gt_sets/search.txt')


def group(deposit: Deposit, tasks: Sequence[str], settings: SharingSettings) -> SharedModels:
    """Tasks that share computation, with gates that were fitted to images set aside."""
    return SharedModels(deposit, tasks, settings, images_of(deposit, tasks[-1], **HELD_OUT))


def score(
    path: Path, tasks: Sequence[str], models: SharedModels | None = None, **data: Any
) -> dict[str, float]:
    """Task -> its metric; see ``score_and_metrics``."""
    opened, found = Deposit(path), {}
    for task in tasks:
        _, metrics, _ = score_and_metrics(opened, task, models, **data)
        name = METRICS[task][0]
        value = next(v for k, v in metrics.items() if k.rpartition('/')[2] == name)
        found[task] = round(float(value), 4)
    return found


def shared_scores(
    path: Path, settings: SharingSettings, **data: Any
) -> tuple[dict[str, float], dict[str, float]]:
    """Task -> its metric with what the base and the frame before computed; and what it took."""
    opened, found, work = Deposit(path), {}, Counter()
    base = next(iter(METRICS))
    for task in METRICS:
        models = group(opened, list(dict.fromkeys((base, task))), settings)
        found |= score(path, [task], models, **data)
        work.update(models.work)
    return found, {key: round(work[key] / work['whole'], 3) for key in ('executed', 'counted')}


def delta(scores: Mapping[str, float], reference: Mapping[str, float]) -> float:
    """The mean relative change of sub-tasks in percent, more is better."""
    _, *subs = METRICS
    changes = [[relative_change(scores[t], reference[t], METRICS[t][1])] for t in subs]
    return round(delta_t(changes), 2)


def timed(cases: Mapping[str, Callable], images: Sequence[Tensor]) -> dict[str, float]:
    """Median milliseconds an image of each case, all cases in turn on one image after the other."""

    def following(run: Callable) -> Callable[[], object]:
        rest = iter(images)
        return lambda: run(next(rest))

    steps = {name: following(run) for name, run in cases.items()}
    with torch.no_grad():
        seconds = medians(steps, len(images) - 1)
    return {name: round(1000 * value, 2) for name, value in seconds.items()}
