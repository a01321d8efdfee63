"""Evaluates one subnet on one task with the upstream evaluator."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from mmengine.evaluator import Evaluator
from torch.utils.data import DataLoader

from .failures import batches_of, in_task
from .scope import task_scope
from .scores import Scoring

# Called with the task, the number of the batch in it, the batch, and what was predicted of it.
OnBatch = Callable[[str, int, dict, list], None]


@dataclass(frozen=True)
class Evaluation:
    """A task's loader and evaluator over one split, built once and used for many subnets.

    Attributes:
        scoring: how its metrics become the task's score.
        scope: the library of the task.
        loader: of the images; of all tasks of an image group, see ``JointEvaluation``.
        size: how many samples of the task all processes have.
    """

    scoring: Scoring
    scope: str
    loader: DataLoader
    evaluator: Evaluator
    size: int
    group: dist.ProcessGroup | None = None

    @classmethod
    def build(
        cls,
        scoring: Scoring,
        scope: str,
        loader: DataLoader,
        dataset: Any,
        evaluator: Any,
        size: int,
        group: dist.ProcessGroup | None = None,
    ) -> Evaluation:
        """Builds the evaluator from an upstream config.

        Args:
            scoring: how the metrics become the task's score.
            scope: the library of the task.
            loader: of the images.
            dataset: the task's own.
            evaluator: the upstream config.
            size: how many samples of the task all processes have.
            group: the ranks that evaluate together, each with its part of the loader.
        """
        with task_scope(scope, group):
            evaluator = Evaluator(copy.deepcopy(evaluator))
        evaluator.dataset_meta = getattr(dataset, 'metainfo', None)
        return cls(scoring, scope, loader, evaluator, size, group)


def evaluate(
    predict: Callable[[dict], list],
    evaluation: Evaluation,
    on_batch: OnBatch | None = None,
) -> dict[str, float]:
    """The upstream metrics of a predictor.

    Args:
        predict: batch from the loader -> upstream data samples.
        evaluation: the loader and the evaluator.
        on_batch: called with each batch and its predictions; see ``OnBatch``.

    Raises:
        TaskError: it has failed; names the task, the batch and its files.
    """
    process(predict, evaluation, on_batch)
    return metrics_of(evaluation)


@torch.no_grad()
def process(
    predict: Callable[[dict], list],
    evaluation: Evaluation,
    on_batch: OnBatch | None = None,
) -> None:
    """The first part of ``evaluate``: gives the evaluator all predictions of this process."""
    task = evaluation.scoring.task
    with task_scope(evaluation.scope, evaluation.group):
        for index, batch in enumerate(batches_of(task, 'evaluation, batch', evaluation.loader)):
            outputs = take_batch(predict, evaluation, index, batch)
            if on_batch is not None:
                on_batch(task, index, batch, outputs)


def take_batch(
    predict: Callable[[dict], list], evaluation: Evaluation, index: int, batch: dict
) -> list:
    """Gives the evaluator the predictions of one batch, and returns them; in the task's scope."""
    with in_task(evaluation.scoring.task, f'evaluation, batch {index}', batch):
        outputs = predict(batch)
        evaluation.evaluator.process(data_samples=outputs, data_batch=batch)
    return outputs


@torch.no_grad()
def metrics_of(evaluation: Evaluation) -> dict[str, float]:
    """The second part of ``evaluate``: the metrics over the predictions of all its processes."""
    with (
        task_scope(evaluation.scope, evaluation.group),
        in_task(evaluation.scoring.task, 'evaluation'),
    ):
        return evaluation.evaluator.evaluate(evaluation.size)
