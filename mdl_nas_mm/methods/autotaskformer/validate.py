"""Which skeleton a task does best with: where none was learned (Fig. 7's uniform sampling)."""

from __future__ import annotations

import math
from typing import Any

from mdl_nas_mm.tasks import MultiTaskModel, ResolvedConfig, recalibrated, recalibrations
from mdl_nas_mm.tasks.evaluate import evaluate

from .choice import SkeletonChoice, skeletons_of


def best_validated(cfg: ResolvedConfig, model: MultiTaskModel) -> SkeletonChoice:
    """Evaluates every skeleton of every task, with the largest architecture.

    Batch norms have the statistics of each where ``recalibrate_images`` says from how many images.

    Args:
        cfg: of the training; it is evaluated on what its search would be.
        model: that was trained; its answering heads are those that were found then.

    Raises:
        ValueError: a task has nothing to be evaluated on, or no finite score.
    """
    chosen, scores = {}, {}
    estimates = recalibrations(cfg, model)
    for task, skeletons in skeletons_of(cfg).items():
        info, head = cfg.tasks[task], model.tasks[task].decode_head
        split = info.search or info.val
        if split is None:
            raise ValueError(
                f'task {task!r}: search_dataloader or val_dataloader, to evaluate skeletons on, '
                'is missing'
            )
        evaluation, gains = info.evaluation(split), {}
        for number, skeleton in enumerate(skeletons):
            head.chosen.fill_(number)
            subnet: Any = model.subnet(task, model.spaces[task].largest())
            with recalibrated(estimates, (task,), {task: subnet}):
                metrics = evaluate(subnet.val_step, evaluation)
            gains[skeleton.name] = evaluation.scoring.gain(evaluation.scoring.score(metrics))
        finite = {name: gain for name, gain in gains.items() if math.isfinite(gain)}
        if not finite:
            raise ValueError(f'task {task!r}: no skeleton has a finite score')
        best = max(finite, key=finite.__getitem__)
        chosen[task] = next(s for s in skeletons if s.name == best)
        head.chosen.fill_(skeletons.index(chosen[task]))
        scores[task] = finite
    return SkeletonChoice(chosen, scores=scores)
