"""One task of a resolved config: what it is trained and evaluated with, and what of that counts."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import dataclass
from typing import Any, cast

import torch.distributed as dist
from mmengine.model import BaseModel

from .classes import check_classes
from .data import build_eval_loader
from .delta_t import Reference
from .evaluate import Evaluation, evaluate
from .metric_labels import check_first_sample
from .scores import Score, Scoring, as_before


@dataclass(frozen=True)
class Split:
    """Images that a task is evaluated on.

    Attributes:
        dataloader: config of the upstream loader.
        evaluator: config of one upstream metric, or of several.
    """

    dataloader: Mapping[str, Any]
    evaluator: Any


@dataclass(frozen=True)
class Task:
    """A task: a data set, an upstream model and a metric.

    Attributes:
        name: its name in the joint config.
        scope: the library that its model and data are of, such as ``'mmdet'``.
        model: config of the upstream model; where the backbone was is a ``BackboneSlot``.
        score: the metric that counts, and how.
        loss_weight: what its losses are multiplied by.
        score_weight: how much its score counts in the S-Score (lambda_k).
        train: config of the loader of its training images; None where it is not trained.
        val: what its results are reported on; None without a validation.
        search: what a search scores its architectures on.
        reference: metrics of a model of this task alone, see ``Reference.read``.
        images: name of the images that it has in common with other tasks; see ``image_groups``.
    """

    name: str
    scope: str
    model: Mapping[str, Any]
    score: Score
    loss_weight: float = 1.0
    score_weight: float = 1.0
    train: Mapping[str, Any] | None = None
    val: Split | None = None
    search: Split | None = None
    images: str | None = None
    reference: Any = None

    @classmethod
    def of_deposit(cls, name: str, info: Mapping[str, Any], val: Split) -> Task:
        """A task as a deposit keeps it.

        Args:
            name: of the task in the deposit.
            info: see ``Deposit.tasks``.
            val: what its score was measured on.

        Raises:
            ValueError: the deposit does not say what its score is; see ``Score.read``.
        """
        if info.get('score') is None:
            raise ValueError(f'task {name!r}: the deposit names no metric as its score')
        score = as_before(info['scope'], Score.read(name, info['score']), val.evaluator)
        return cls(name, info['scope'], info['model'], score, val=val)

    def scoring(self, split: Split) -> Scoring:
        """How the metrics of a split become the task's score.

        Raises:
            ValueError: they do not; see ``Scoring.of``.
        """
        return Scoring.of(self.name, self.scope, self.score, split.evaluator)

    def single_task(self) -> Reference | None:
        """What the metrics of the validation are compared with; None where nothing is.

        Raises:
            ValueError: see ``Reference.read``.
        """
        if self.reference is None or self.val is None:
            return None
        score, metrics = self.scoring(self.val), self.val.evaluator
        return Reference.read(self.name, self.scope, self.reference, score, metrics)

    def evaluation(self, split: Split, group: dist.ProcessGroup | None = None) -> Evaluation:
        """Builds what the task is evaluated with, once for many models.

        Args:
            split: its loader and evaluator.
            group: the ranks that evaluate together, each with its part of the images.

        Raises:
            ValueError: the split has no images, its classes are not those of the model, no
                metric that the score can be, or one that needs a label that is not there.
        """
        scoring = self.scoring(split)
        built = build_eval_loader(self.name, self.scope, split.dataloader, group)
        check_classes(self.name, self.model, built.dataset)
        check_first_sample(self.name, self.scope, split.evaluator, built.dataset)
        given = (built, built.dataset, split.evaluator, len(cast(Sized, built.dataset)))
        return Evaluation.build(scoring, self.scope, *given, group)

    def evaluate(self, model: BaseModel, split: Split) -> tuple[float, dict[str, Any]]:
        """The score of an upstream model of the task, and all of its metrics.

        Raises:
            ValueError: it has no score; or see ``evaluation``.
            TaskError: the evaluation has failed, see ``evaluate``.
        """
        evaluation = self.evaluation(split)
        evaluation.scoring.say_note()
        metrics = evaluate(model.val_step, evaluation)
        return evaluation.scoring.score(metrics), metrics
