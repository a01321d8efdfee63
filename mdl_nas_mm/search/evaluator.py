"""Scores architectures with the weights of a trained supernet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from mmengine.logging import print_log
from mmengine.model import revert_sync_batchnorm

from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.tasks import (
    Evaluation,
    JointEvaluation,
    MultiTaskModel,
    ResolvedConfig,
    pass_groups_of,
    recalibrated,
    recalibrations,
)
from mdl_nas_mm.tasks.pass_groups import PassGroup
from mdl_nas_mm.utils.quiet import quiet

from .history import Outcome


class SupernetEvaluator:
    """Evaluates architectures, building each loader and evaluator once.

    Each evaluation is that of a single process over the whole split, whatever others do. Tasks that
    share a pass have one load of the images, and one pass through the backbone.

    Args:
        model: of the tasks to evaluate.
        cfg: its ``search_dataloader`` and ``search_evaluator`` say on
            which images, ``recalibrate_images`` from how many training images the
            batch norms of heads are estimated for each architecture (default 0: as trained).
        solo: process group of this process alone, where there are more.

    Attributes:
        evaluations: task -> what it is evaluated with, alone or with those that share its pass.
    """

    def __init__(
        self, model: MultiTaskModel, cfg: ResolvedConfig, solo: dist.ProcessGroup | None = None
    ) -> None:
        # Each process is at another subnet: there is nothing to synchronise.
        self.model, self.cfg, self.solo = revert_sync_batchnorm(model.eval()), cfg, solo
        self.model.use_parts()
        self.evaluations: dict[str, JointEvaluation] = {}
        shared = {task: group for group in pass_groups_of(cfg).shared for task in group}
        pass_groups = dict.fromkeys(shared.get(task, (task,)) for task in model.tasks)
        with quiet():
            for group in pass_groups:
                self._build(group, cfg.search_dataloader[group[0]]['batch_size'])
            self.norms = recalibrations(cfg, self.model, solo, pass_groups)

    def __call__(self, specs: Mapping[str, SubnetSpec]) -> dict[str, Outcome]:
        """Task -> what came of it: what the search maximises and all metrics, or why not.

        A batch that does not fit into the GPU's memory is halved, from then on.

        Args:
            specs: task -> architecture, of one task, or of several that share a pass, which have
                one backbone.
        """
        evaluation = self.evaluations[next(iter(specs))]
        with quiet():
            try:
                outcomes = self._evaluate(specs, evaluation)
                for task, outcome in outcomes.items():
                    if outcome.failure is not None:
                        text = f'search: an evaluation of task {task!r} failed: {outcome.failure}'
                        print_log(text, 'current', logging.WARNING)
                return outcomes
            except torch.cuda.OutOfMemoryError:
                size = evaluation.loader.batch_size
                assert size is not None
                size //= 2
                if not size:
                    raise
                torch.cuda.empty_cache()
                self._build(tuple(evaluation.tasks), size)
        tasks = ', '.join(map(repr, evaluation.tasks))
        print_log(f'search: {tasks} go on with batches of {size} images', 'current')
        return self(specs)

    @contextmanager
    def predictors(
        self, specs: Mapping[str, SubnetSpec]
    ) -> Generator[Mapping[str, Callable[[dict], list]]]:
        """Task -> what predicts with its subnet, whose batch norms are estimated inside the block.

        Args:
            specs: of all tasks of an evaluation.
        """
        subnets: dict[str, Any] = self.model.subnets(specs)
        pass_group = tuple(self.evaluations[next(iter(specs))].tasks)
        with recalibrated(self.norms, pass_group, subnets):
            yield {task: subnet.val_step for task, subnet in subnets.items()}

    def _build(self, group: PassGroup, batch_size: int) -> None:
        # Starting workers for each subnet would take longer than evaluating it.
        settings = dict(batch_size=batch_size, persistent_workers=True)
        splits = {}
        for task in group:
            split = self.cfg.tasks[task].search
            assert split is not None
            splits[task] = replace(split, dataloader={**split.dataloader, **settings})
        name = self.cfg.tasks[group[0]].images or group[0]
        built = JointEvaluation.build(name, [group], self.cfg.tasks, splits, self.solo)
        self.evaluations.update(dict.fromkeys(group, built))

    def _evaluate(
        self, specs: Mapping[str, SubnetSpec], evaluation: JointEvaluation
    ) -> dict[str, Outcome]:
        with self.predictors(specs) as predict:
            metrics = evaluation.evaluate(predict)
        return {task: _outcome(evaluation.tasks[task], own) for task, own in metrics.items()}


def _outcome(evaluation: Evaluation, metrics: Mapping[str, float]) -> Outcome:
    scoring = evaluation.scoring
    try:
        return Outcome.of(scoring.gain(scoring.score(metrics)), metrics)
    except ValueError as error:
        return Outcome(None, {}, str(error))
