"""A task's score: the one of its metrics that counts, in percent, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.logging import print_log

from .metric_kinds import Found, by_name, find_metric


class NoScore(ValueError):
    """An evaluation has given its metric, but with a value that is no score."""


@dataclass(frozen=True)
class Scoring:
    """How a task's metrics become its score.

    Attributes:
        task: the task.
        key: name of the metric that counts.
        metric: what is known of it.

    Raises:
        ValueError: less of the metric is better, or it is no part of a hundred.
    """

    task: str
    key: str
    metric: Found

    @classmethod
    def from_config(cls, task: str, scope: str, key: str, evaluator: Any) -> Scoring:
        """The scoring of a task whose evaluator has this config."""
        return cls(task, key, find_metric(scope, key, evaluator))

    def __post_init__(self) -> None:
        kind = self.metric.kind
        if not kind.greater or kind.factor is None:
            what = 'a count' if kind.greater else 'an error, of which less is better'
            raise ValueError(
                f'task {self.task!r}: the metric {self.key!r} is {what}; a score is percent, and '
                'the more the better, so name another metric of its evaluator'
            )

    @property
    def note(self) -> str | None:
        """How a metric counts that upstream's libraries do not have; None for theirs."""
        owner, known = self.metric.owner, self.metric.known
        if owner is None or owner == known:
            return None
        how = 'a fraction, times 100' if self.metric.kind.factor == 100 else 'percent, as it is'
        like = f'like one of {known}, ' if known else ''
        return f'task {self.task!r}: {self.key!r} of {owner} counts {like}as {how}'

    def score(self, metrics: Mapping[str, Any]) -> float:
        """The score in percent.

        A detector that finds nothing has no COCO metrics at all; its score is 0.

        Raises:
            NoScore: the metric is no number, not finite, or what upstream gives where a split has
                nothing to measure.
            ValueError: the evaluator gives other metrics, but not this one.
        """
        if self.key not in metrics:
            if self.metric.detections and not self._detected(metrics):
                print_log(f'task {self.task!r}: no {self.key!r}, nothing was detected', 'current')
                return 0.0
            raise ValueError(
                f'task {self.task!r}: its evaluator gives no metric {self.key!r}, '
                f'but {sorted(metrics)}'
            )
        value = metrics[self.key]
        number = _number(value)
        if number is None:
            raise self._none(f'a {type(value).__name__}', 'it has to be one number')
        if not math.isfinite(number):
            raise self._none(
                f'{number}', 'its images have nothing to measure, such as no labelled pixel'
            )
        if number < self.metric.kind.least:
            raise self._none(
                f'{number:g}', 'upstream says so where there are no such objects, or no such labels'
            )
        return self.metric.kind.factor * number

    def _detected(self, metrics: Mapping[str, Any]) -> bool:
        return any(name.startswith(self.metric.lead) and 'AP' in name for name in metrics)

    def _none(self, value: str, why: str) -> NoScore:
        return NoScore(f'task {self.task!r}: {self.key!r} is {value}, which is no score; {why}')


def score_of(task: str, metrics: Mapping[str, Any], key: str) -> float:
    """A task's score in percent, by nothing but the names of its metrics.

    ``Evaluation.scoring`` knows the classes of the metrics as well.

    Args:
        metrics: what an evaluator gave, such as a line of a log.
        key: the one that counts.

    Raises:
        ValueError: see ``Scoring``.
    """
    return Scoring(task, key, by_name(key)).score(metrics)


def _number(value: Any) -> float | None:
    if isinstance(value, (str, bytes)):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return None
