"""Scores one subnet on one task with the upstream evaluator."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from torch.utils.data import DataLoader

from .scope import task_scope

# Upstream reports these metrics as fractions, all others in percent.
FRACTIONS = ('coco/',)


@dataclass(frozen=True)
class Evaluation:
    """A task's loader and evaluator over one split, built once and used for many subnets."""

    task: str
    scope: str
    loader: DataLoader
    evaluator: Evaluator
    group: dist.ProcessGroup | None = None

    @classmethod
    def build(
        cls,
        task: str,
        scope: str,
        loader: DataLoader,
        evaluator: Any,
        group: dist.ProcessGroup | None = None,
    ) -> Evaluation:
        """Builds the evaluator from an upstream config.

        Args:
            group: the ranks that evaluate together, each with its part of the loader.
        """
        with task_scope(scope, group):
            evaluator = Evaluator(copy.deepcopy(evaluator))
        evaluator.dataset_meta = getattr(loader.dataset, 'metainfo', None)
        return cls(task, scope, loader, evaluator, group)


@torch.no_grad()
def evaluate(
    predict: Callable[[dict], list],
    evaluation: Evaluation,
    on_batch: Callable[[int, dict, list], None] | None = None,
) -> dict[str, float]:
    """The upstream metrics of a predictor.

    Args:
        predict: batch from the loader -> upstream data samples.
        on_batch: called with the index, the batch and the predictions of each batch.
    """
    with task_scope(evaluation.scope, evaluation.group):
        for index, batch in enumerate(evaluation.loader):
            outputs = predict(batch)
            evaluation.evaluator.process(data_samples=outputs, data_batch=batch)
            if on_batch is not None:
                on_batch(index, batch, outputs)
        return evaluation.evaluator.evaluate(len(evaluation.loader.dataset))


def score_of(task: str, metrics: Mapping[str, float], key: str) -> float:
    """A task's score in percent.

    A detector that finds nothing has no COCO metrics at all; its score is 0.

    Raises:
        ValueError: the evaluator gives other metrics, but not this one.
    """
    if key not in metrics:
        if key.startswith('coco/') and not any(name.startswith('coco/') for name in metrics):
            print_log(f'task {task!r}: no COCO metrics, so nothing was detected', 'current')
            return 0.0
        raise ValueError(
            f'task {task!r}: its evaluator gives no metric {key!r}, but {sorted(metrics)}'
        )
    value = float(metrics[key])
    return 100 * value if key.startswith(FRACTIONS) else value
