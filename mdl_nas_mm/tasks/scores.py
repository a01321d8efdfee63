"""A task's score: the one of its metrics that counts, and how, or why there is none."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.logging import print_log

from mdl_nas_mm.utils.amounts import is_number

from .metric_kinds import UNKNOWN, FoundMetric, MetricKind, by_name, find_metric, names_given

_SCALES = dict(percent=1.0, fraction=100.0)
RULES = dict(greater=True, less=False)
# What each is, for who reads the reference.
SCORE_KEYS = dict(
    metric='The name of a metric that the evaluator gives.',
    scale="`'percent'` as it is, `'fraction'` times 100, or a number; known of common metrics.",
    rule="`'greater'` or `'less'`, whichever is better; known of common metrics.",
)


class NoScore(ValueError):
    """An evaluation has given its metric, but with a value that is no score."""


@dataclass(frozen=True)
class Score:
    """What a config says of a task's score.

    Attributes:
        metric: name of the metric that counts.
        factor: what its numbers are multiplied by; None where the config leaves that to what is
            known of the metric.
        greater: whether more of it is better; None as well.
        unit: the factor, where it is a number of the config's: what one of the metric's own unit
            counts. Of percent and fractions 1, as they are shown in percent.
    """

    metric: str
    factor: float | None = None
    greater: bool | None = None
    unit: float = 1.0

    @classmethod
    def read(cls, task: str, config: str | Mapping[str, Any]) -> Score:
        """Reads ``'mIoU'``, or ``dict(metric='rmse', scale=100, rule='less')``.

        ``scale`` is ``'percent'`` (as it is), ``'fraction'`` (times 100) or a number; ``rule``
        is ``'greater'`` or ``'less'``, whichever is better. Both may be left out where
        ``metric_kinds`` knows them.

        Raises:
            ValueError: it is neither, or a key or a value is none of these.
        """
        where = f'task {task!r}, score'
        if isinstance(config, str):
            return cls(config)
        if not isinstance(config, Mapping) or not isinstance(config.get('metric'), str):
            raise ValueError(
                f"{where}: {config!r}, expected the name of a metric, or dict(metric='...', "
                "scale='percent', rule='greater')"
            )
        for key in config:
            if key not in SCORE_KEYS:
                raise ValueError(f'{where}: unknown key {key!r}, expected {[*SCORE_KEYS]}')
        scale, rule = config.get('scale'), config.get('rule')
        if rule is not None and rule not in RULES:
            raise ValueError(f'{where}: rule is {rule!r}, expected one of {tuple(RULES)}')
        greater = None if rule is None else RULES[rule]
        factor = None if scale is None else _factor(scale, where)
        unit = 1.0 if factor is None or scale in _SCALES else factor
        return cls(config['metric'], factor, greater, unit)


def _factor(scale: Any, where: str) -> float:
    if isinstance(scale, str) and scale in _SCALES:
        return _SCALES[scale]
    if not is_number(scale) or not math.isfinite(scale) or scale <= 0:
        raise ValueError(
            f'{where}: scale is {scale!r}, expected one of {tuple(_SCALES)} or a number above 0; '
            "of an error say rule='less'"
        )
    return float(scale)


@dataclass(frozen=True)
class Scoring:
    """How a task's metrics become its score.

    Attributes:
        task: the task.
        key: name of the metric that counts.
        factor: what its numbers are multiplied by.
        greater: whether more of it is better.
        metric: what is known of it.
        unit: what one of the unit that it is shown in counts, see ``Score``.
    """

    task: str
    key: str
    factor: float
    greater: bool
    metric: FoundMetric
    unit: float = 1.0

    @classmethod
    def of(cls, task: str, scope: str, score: Score, evaluator: Any) -> Scoring:
        """The scoring of a task whose evaluator has this config.

        Raises:
            ValueError: no metric of the evaluator gives the name; or it is not known how it counts
                and the config does not say so, or says something else. Tells what to write.
        """
        found = find_metric(scope, score.metric, evaluator)
        if found is None:
            raise ValueError(
                f'task {task!r}: no metric of its evaluator gives the score {score.metric!r}; '
                f'there are {", ".join(names_given(scope, evaluator)) or "none"}'
            )
        return cls.by_kind(task, score, found)

    @classmethod
    def by_kind(cls, task: str, score: Score, found: FoundMetric) -> Scoring:
        """The scoring of a metric of which this is known; see ``of``."""
        kind = found.kind
        is_their_own = found.owner in (None, found.known)
        for key, said, known in (
            ('scale', score.factor, kind.factor),
            ('rule', score.greater, kind.greater),
        ):
            if is_their_own and None not in (said, known) and said != known:
                raise ValueError(
                    f'task {task!r}: {score.metric!r} of {found.known} has another {key} than its '
                    f'score says; write score={score.metric!r}, and score_weight for how much it '
                    'counts'
                )
        factor = kind.factor if score.factor is None else score.factor
        greater = kind.greater if score.greater is None else score.greater
        if factor is None or greater is None:
            raise ValueError(_not_said(task, score, found))
        return cls(task, score.metric, factor, greater, found, score.unit)

    @property
    def note(self) -> str | None:
        """That a metric counts like the one of upstream's that it is derived from; else None."""
        owner, known = self.metric.owner, self.metric.known
        if known is None or owner == known:
            return None
        how = f'times {self.factor:g}' if self.factor != 1 else 'as it is'
        return f'task {self.task!r}: {self.key!r} of {owner} counts like one of {known}, {how}'

    def say_note(self) -> None:
        """Logs ``note``, where there is one."""
        if self.note is not None:
            print_log(self.note, 'current', logging.WARNING)

    def gain(self, score: float) -> float:
        """What a score adds to the S-Score, before its weight: more is better, also of an error."""
        return score if self.greater else -score

    def score(self, metrics: Mapping[str, Any]) -> float:
        """The score, in the metric's own terms: percent, or an error in what ``scale`` makes of it.

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
        return self.factor * number

    def _detected(self, metrics: Mapping[str, Any]) -> bool:
        return any(name.startswith(self.metric.lead) and 'AP' in name for name in metrics)

    def _none(self, value: str, why: str) -> NoScore:
        return NoScore(f'task {self.task!r}: {self.key!r} is {value}, which is no score; {why}')


def finite_numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Those of an evaluator's metrics that are one finite number each, as JSON has them.

    Others are lists of classes, and nan where a split has nothing of a class.
    """
    found = ((name, _number(value)) for name, value in metrics.items())
    return {name: n for name, n in found if n is not None and math.isfinite(n)}


def as_before(scope: str, score: Score, evaluator: Any) -> Score:
    """A score as it counted before unknown metrics had to say how: by its name, else as percent."""
    found = find_metric(scope, score.metric, evaluator)
    if score != Score(score.metric) or found is None or found.kind != UNKNOWN:
        return score
    kind = by_name(score.metric).kind
    return Score(score.metric, kind.factor or 1.0, kind.greater is not False)


def score_of(task: str, metrics: Mapping[str, Any], score: str | Mapping[str, Any]) -> float:
    """A task's score by nothing but the names of its metrics, such as those of a log's line.

    ``Task.scoring`` knows the classes of the metrics as well.

    Args:
        task: what errors call it.
        metrics: what an evaluator gave.
        score: as in a config, see ``Score.read``.

    Raises:
        ValueError: see ``Score.read`` and ``Scoring``.
    """
    said = Score.read(task, score)
    return Scoring.by_kind(task, said, by_name(said.metric)).score(metrics)


def _not_said(task: str, score: Score, found: FoundMetric) -> str:
    """What to write for a metric of which it is not known how it counts."""
    kind: MetricKind = found.kind
    of = f' of {found.owner}' if found.owner else ''
    if kind == UNKNOWN:
        what = 'is not known to be percent, a fraction or an error'
        example = "scale='percent', rule='greater'"
        more = "; or scale='fraction' or a number, and rule='less' of an error"
    else:
        what = 'is an error in a unit of its own, of which less is better'
        example, more = 'scale=1.0', ', or as much as one unit shall take from the S-Score'
    return (
        f'task {task!r}: the metric {score.metric!r}{of} {what}; write '
        f'score=dict(metric={score.metric!r}, {example}){more}'
    )


def _number(value: Any) -> float | None:
    if isinstance(value, (str, bytes)):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return None
