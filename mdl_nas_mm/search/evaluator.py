"""Scores architectures with the weights of a trained supernet."""

from __future__ import annotations

import logging

import torch
import torch.distributed as dist
from mmengine.logging import print_log
from mmengine.model import BaseModel, revert_sync_batchnorm

from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.tasks import (
    Evaluation,
    MultiTaskModel,
    ResolvedConfig,
    evaluate,
    recalibrations,
)
from mdl_nas_mm.utils.quiet import quiet

from .history import Outcome


class SupernetEvaluator:
    """Evaluates (task, architecture) pairs, building each task's loader and evaluator once.

    Each evaluation is that of a single process over the whole split, whatever others do.

    Args:
        model: of the tasks to evaluate.
        cfg: its ``search_dataloader`` and ``search_evaluator`` say on
            which images, ``recalibrate_images`` from how many training images the
            batch norms of heads are estimated for each architecture (default 0: as trained).
        solo: process group of this process alone, where there are more.
    """

    def __init__(
        self, model: MultiTaskModel, cfg: ResolvedConfig, solo: dist.ProcessGroup | None = None
    ) -> None:
        # Each process is at another subnet: there is nothing to synchronise.
        self.model, self.cfg, self.solo = revert_sync_batchnorm(model.eval()), cfg, solo
        self.model.use_parts()
        self.evaluations: dict[str, Evaluation] = {}
        with quiet():
            for task in model.tasks:
                self._build(task, cfg.search_dataloader[task]['batch_size'])
            found = recalibrations(cfg, self.model, solo)
            self.norms = {task: norms for (task,), norms in found.items()}

    def __call__(self, task: str, spec: SubnetSpec) -> Outcome:
        """What came of an evaluation: what the search maximises and all metrics, or why not.

        A batch that does not fit into the GPU's memory is halved, from then on.
        """
        with quiet():
            try:
                outcome = self._evaluate(task, spec)
                if outcome.failure is not None:
                    text = f'search: an evaluation of task {task!r} failed: {outcome.failure}'
                    print_log(text, 'current', logging.WARNING)
                return outcome
            except torch.cuda.OutOfMemoryError:
                size = self.evaluations[task].loader.batch_size
                assert size is not None
                size //= 2
                if not size:
                    raise
                torch.cuda.empty_cache()
                self._build(task, size)
        print_log(f'search: task {task!r} goes on with batches of {size} images', 'current')
        return self(task, spec)

    def _build(self, task: str, batch_size: int) -> None:
        known = self.cfg.tasks[task]
        assert known.search is not None
        # Starting workers for each subnet would take longer than evaluating it.
        settings = dict(batch_size=batch_size, persistent_workers=True)
        self.evaluations[task] = known.evaluation(known.search, self.solo, **settings)

    def _evaluate(self, task: str, spec: SubnetSpec) -> Outcome:
        subnet = self.model.subnet(task, spec)
        if self.norms:
            with self.norms[task].applied({task: subnet}):
                return self._score(task, subnet)
        return self._score(task, subnet)

    def _score(self, task: str, subnet: BaseModel) -> Outcome:
        evaluation = self.evaluations[task]
        metrics = evaluate(subnet.val_step, evaluation)
        try:
            scoring = evaluation.scoring
            return Outcome.of(scoring.gain(scoring.score(metrics)), metrics)
        except ValueError as error:
            return Outcome(None, {}, str(error))
