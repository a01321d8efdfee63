"""Predicted losses as the score of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mdl_nas_mm.registry import SEARCH_SCORES
from mdl_nas_mm.spec import SearchSpace

from .columns import JointColumns
from .loss_predictor import LossPredictor
from .predictor_score import check_score_counts
from .scored import Pair


@SEARCH_SCORES.register_module()
class LossPredictorScore:
    """The negative loss that ``mdl-nas predictor`` has learned to predict; no evaluation.

    The loss of a task follows from the backbone and the task's own parts.

    Args:
        spaces: task -> where its architectures are looked for.
        file: of the predictor.
        finalists: how many of the best joint specs are evaluated in the end.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is of other tasks or spaces.
    """

    def __init__(self, spaces: Mapping[str, SearchSpace], file: str, finalists: int = 10) -> None:
        check_score_counts(dict(finalists=finalists))
        self.finalists, self.file = finalists, file
        self.predictor, self.columns = LossPredictor.load(file), JointColumns(spaces)
        self.predictor.check(self.columns, file)

    @staticmethod
    def check_config(cfg: Mapping[str, Any]) -> None:
        """See ``EstimatedScore``."""
        check_score_counts(cfg['search_cfg']['score'])

    def __call__(self, pairs: Sequence[Pair]) -> list[float]:
        """The scores of (task, architecture) pairs."""
        rows = np.zeros((len(pairs), len(self.columns)), np.int64)
        for row, (task, spec) in zip(rows, pairs):
            row[self.columns.of_task(task)] = self.columns.places(task, spec)
        losses = self.predictor(self.columns.encoded(rows))
        order = {task: number for number, task in enumerate(self.predictor.tasks)}
        return [-float(own[order[task]]) for own, (task, _) in zip(losses, pairs)]

    def describe(self) -> dict[str, Any]:
        """What a report says of it."""
        held_out = self.predictor.about['held_out']
        return dict(type='LossPredictorScore', file=self.file, held_out=held_out)
