"""Delta_T: how much better several tasks are together than each was alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mdl_nas_mm.utils.amounts import is_number

from .metric_kinds import find_metric, names_given
from .scores import RULES, NoScore, Score, Scoring


def relative_change(value: float, reference: float, greater: bool) -> float:
    """(value - reference) / reference in percent, with the sign by which more is better.

    Args:
        value: a metric of a multi-task model.
        reference: the same of the single-task model.
        greater: whether more of it is better.
    """
    change = 100 * (value - reference) / reference
    return change if greater else -change


def delta_t(changes: Iterable[Sequence[float]]) -> float:
    """The mean over tasks of the mean over each task's metrics.

    Maninis et al., 2019, have one metric a task; with several it is that of AutoTaskFormer, Eq. 6
    and 7 with the single-task models in place of the averages.

    Args:
        changes: of each task the ``relative_change`` of its metrics.
    """
    of_tasks = [sum(task) / len(task) for task in changes]
    return sum(of_tasks) / len(of_tasks)


@dataclass(frozen=True)
class Reference:
    """The metrics of a task's single-task model.

    Attributes:
        metrics: how each is read, and its value as the evaluator gives it.
    """

    metrics: tuple[tuple[Scoring, float], ...]

    @classmethod
    def read(cls, task: str, scope: str, config: Any, score: Scoring, evaluator: Any) -> Reference:
        """Reads ``0.61`` (of the task's score), ``dict(mIoU=38.2, aAcc=70)`` or more in detail.

        A metric of which it is not known whether more is better says so:
        ``{'mine/f': dict(value=0.4, rule='greater')}``.

        Args:
            task: what errors call it.
            scope: the library of the task.
            config: one of the forms above.
            score: how the task's score is read.
            evaluator: config of the task's metrics.

        Raises:
            ValueError: it is none of these, a value is not above 0, or no metric has the name.
        """
        if not isinstance(config, Mapping):
            return cls(((score, _value(task, score.key, config)),))
        if not config:
            raise ValueError(f'task {task!r}, reference: it names no metric')
        found = []
        for name, said in config.items():
            rule = said.get('rule') if isinstance(said, Mapping) else None
            value = said.get('value') if isinstance(said, Mapping) else said
            where = f'task {task!r}, reference'
            scoring = scoring_of(where, scope, name, rule, score, evaluator)
            found.append((scoring, _value(task, name, value)))
        return cls(tuple(found))

    def changes(self, metrics: Mapping[str, Any]) -> list[float]:
        """The relative change of each metric in percent, nan for one that has no number."""
        return [_change(scoring, value, metrics) for scoring, value in self.metrics]


def _change(scoring: Scoring, value: float, metrics: Mapping[str, Any]) -> float:
    try:
        found = scoring.score(metrics)
    except NoScore:
        return math.nan
    return relative_change(found, scoring.factor * value, scoring.greater)


def scoring_of(
    where: str, scope: str, name: str, rule: str | None, score: Scoring, evaluator: Any
) -> Scoring:
    """How one of a task's metrics is read.

    Args:
        where: what errors begin with.
        scope: the library of the task.
        name: of the metric.
        rule: which is better of it, ``'greater'`` or ``'less'``; None for what is known.
        score: how the task's score is read.
        evaluator: config of the task's metrics.

    Raises:
        ValueError: no metric has the name, or it is not known which is better of it.
    """
    if name == score.key and rule is None:
        return score
    metric = find_metric(scope, name, evaluator)
    if metric is None:
        raise ValueError(
            f'{where}: no metric of its evaluator gives {name!r}; there are '
            f'{", ".join(names_given(scope, evaluator)) or "none"}'
        )
    greater = metric.kind.greater if rule is None else RULES.get(rule)
    if greater is None:
        raise ValueError(
            f'{where}: say which is better of {name!r}: '
            f"{{{name!r}: dict(..., rule='greater')}}, or 'less'"
        )
    return Scoring.by_kind(score.task, Score(name, metric.kind.factor or 1.0, greater), metric)


def _value(task: str, name: str, value: Any) -> float:
    if not is_number(value) or not math.isfinite(value) or value <= 0:
        raise ValueError(
            f'task {task!r}, reference: {name!r} of the single-task model is {value!r}, expected a '
            'number above 0'
        )
    return float(value)
