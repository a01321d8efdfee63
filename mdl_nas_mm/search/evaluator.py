"""Scores architectures with the weights of a trained supernet."""

from __future__ import annotations

from mmengine.config import Config

from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.tasks import (
    Evaluation,
    MultiTaskModel,
    build_eval_loader,
    evaluate,
    score_of,
)
from mdl_nas_mm.utils.quiet import quiet


class SupernetEvaluator:
    """Evaluates (task, architecture) pairs, building each task's loader and evaluator once.

    Args:
        cfg: a resolved joint config; its ``search_dataloader`` and ``search_evaluator`` say on
            which images.
    """

    def __init__(self, model: MultiTaskModel, cfg: Config) -> None:
        self.model = model.eval()
        self.score_keys = {task: info.score for task, info in cfg.tasks.items()}
        self.evaluations = {}
        with quiet():
            for task, info in cfg.tasks.items():
                loader = build_eval_loader(task, info.scope, cfg.search_dataloader[task])
                self.evaluations[task] = Evaluation.build(
                    task, info.scope, loader, cfg.search_evaluator[task]
                )

    def __call__(self, task: str, spec: SubnetSpec) -> tuple[float, dict[str, float]]:
        """The task's score in percent, and all metrics of its evaluator."""
        with quiet():
            metrics = evaluate(
                lambda batch: self.model.predict(task, spec, batch), self.evaluations[task]
            )
        return score_of(task, metrics, self.score_keys[task]), metrics
