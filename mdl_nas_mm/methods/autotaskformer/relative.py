"""Search stage 2: how much better an architecture is than others are on average (Eq. 6, 7)."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mdl_nas_mm.registry import SEARCH_SCORES
from mdl_nas_mm.search.evaluations import Evaluations
from mdl_nas_mm.search.history import Outcome
from mdl_nas_mm.search.predictor_score import check_score_counts
from mdl_nas_mm.search.scored import Pair
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import ResolvedConfig, Scoring
from mdl_nas_mm.tasks.delta_t import relative_change, scoring_of
from mdl_nas_mm.tasks.scores import NoScore
from mdl_nas_mm.utils.amounts import is_number
from mdl_nas_mm.utils.files import write_json
from mdl_nas_mm.utils.strict_json import read_json
from mdl_nas_mm.utils.task_names import check_tasks

FILE = 'reference.json'
# A metric by its name; one of which it is not known whether more is better says so.
Metrics = Sequence[str] | Mapping[str, Mapping[str, str]]


@SEARCH_SCORES.register_module()
class MeanRelativeScore:
    """The relative difference, in percent, of a task's metrics from their means over architectures.

    An architecture's S-Score is the mean over the tasks (Eq. 7), each by its ``score_weight``; of
    a task, the mean over its metrics, an error counting with the other sign (Eq. 6). The means are
    those of one set of random architectures, and are kept in a file, so that searches with other
    budgets or seeds can have the same.

    Args:
        evaluate: scores pairs with the supernet.
        sample: so many random joint specs that fit, from a seed.
        cfg: the resolved config, whose evaluators give the metrics.
        folder: where the means are written, as ``reference.json``.
        metrics: task -> its metrics: ``['mIoU', 'aAcc']``, or with which is better of them
            ``{'mine/f': dict(rule='less')}``; by default its score.
        samples: architectures of the reference set.
        seed: of the reference set.
        file: means of another search, in place of a reference set.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a metric is none, or it is not known which is better of it; or it has no mean.
    """

    finalists = 0

    def __init__(
        self,
        evaluate: Evaluations,
        sample: Callable[[int, int], list[JointSpec]],
        cfg: ResolvedConfig,
        folder: str | Path,
        metrics: Mapping[str, Metrics] | None = None,
        samples: int = 100,
        seed: int = 0,
        file: str | None = None,
    ) -> None:
        check_score_counts(dict(samples=samples))
        self.evaluate, self.file, self.samples = evaluate, file, samples
        self.scorings = read_metrics(cfg, metrics or {})
        if file is not None:
            self.means = read_means(file, self.scorings)
            return
        joints = sample(samples, seed)
        pairs = list(dict.fromkeys((t, joint[t]) for t in self.scorings for joint in joints))
        self.means = means_of(self.scorings, self._outcomes(pairs))
        write_json(Path(folder) / FILE, dict(samples=samples, seed=seed, means=self.means))

    @staticmethod
    def check_config(cfg: ResolvedConfig) -> None:
        """What of a config can be refused before its supernet is trained.

        Raises:
            ValueError: a metric is none, or it is not known which is better of it; or there are no
                samples.
        """
        check_score_counts(cfg.search_cfg.score)
        if all(task.search is not None for task in cfg.tasks.values()):
            read_metrics(cfg, cfg.search_cfg.score.get('metrics') or {})

    def __call__(self, pairs: Sequence[Pair]) -> list[float | None]:
        """The part of each pair in the S-Score of its joint spec."""
        outcomes = self._outcomes(pairs)
        return [self._relative(task, outcome) for (task, _), outcome in zip(pairs, outcomes)]

    def describe(self) -> dict[str, Any]:
        """What a report says of it."""
        return dict(type='MeanRelativeScore', file=self.file, means=self.means)

    def _outcomes(self, pairs: Sequence[Pair]) -> list[tuple[str, Outcome]]:
        self.evaluate(pairs)
        known = self.evaluate.history.evaluations
        return [(pair[0], known[pair]) for pair in pairs]

    def _relative(self, task: str, found: tuple[str, Outcome]) -> float | None:
        changes = []
        for name, scoring in self.scorings[task].items():
            value = _value(scoring, found[1])
            if value is None:
                return None
            changes.append(relative_change(value, self.means[task][name], scoring.greater))
        return statistics.fmean(changes) / len(self.scorings)


def read_metrics(
    cfg: ResolvedConfig, metrics: Mapping[str, Metrics]
) -> dict[str, dict[str, Scoring]]:
    """Task -> metric -> how it is read.

    Raises:
        ValueError: see ``MeanRelativeScore``; names the task.
    """
    check_tasks('search_cfg.score.metrics', metrics, cfg.tasks)
    found = {}
    for task, info in cfg.tasks.items():
        assert info.search is not None
        score, where = info.scoring(info.search), f'search_cfg.score.metrics: task {task!r}'
        said = metrics.get(task, [score.key])
        if not isinstance(said, (Mapping, list, tuple)):
            raise ValueError(f'{where}: {said!r}, expected a list of metrics')
        rules = said if isinstance(said, Mapping) else dict.fromkeys(said, {})
        for name, rule in rules.items():
            if not isinstance(rule, Mapping) or set(rule) - {'rule'}:
                raise ValueError(
                    f"{where}: {name!r} is {rule!r}, expected dict(rule='greater') or 'less'"
                )
        found[task] = {
            name: scoring_of(
                where, info.scope, name, rule.get('rule'), score, info.search.evaluator
            )
            for name, rule in rules.items()
        }
        if not found[task]:
            raise ValueError(f'{where}: it names no metric')
    return found


def means_of(
    scorings: Mapping[str, Mapping[str, Scoring]], outcomes: Sequence[tuple[str, Outcome]]
) -> dict[str, dict[str, float]]:
    """Task -> metric -> its mean over architectures.

    Args:
        scorings: see ``read_metrics``.
        outcomes: tasks, and what came of evaluating an architecture.

    Raises:
        ValueError: no architecture has a metric, or its mean is 0.
    """
    found: dict[str, dict[str, float]] = {}
    for task, own in scorings.items():
        found[task] = {}
        for name, scoring in own.items():
            values = [_value(scoring, outcome) for label, outcome in outcomes if label == task]
            known = [value for value in values if value is not None]
            if not known or not statistics.fmean(known):
                what = 'is 0 on average' if known else 'has no value'
                raise ValueError(
                    f'search_cfg.score: {name!r} of task {task!r} {what} in the reference set, so '
                    'nothing is relative to it; name another metric'
                )
            found[task][name] = statistics.fmean(known)
    return found


def read_means(
    path: str | Path, scorings: Mapping[str, Mapping[str, Scoring]]
) -> dict[str, dict[str, float]]:
    """The means that another search has written.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has no mean of a metric; names the task.
    """
    content = read_json(path, f'reference {path}')
    means = content.get('means') if isinstance(content, Mapping) else None
    found: dict[str, dict[str, float]] = {}
    for task, own in scorings.items():
        for name in own:
            theirs = means.get(task) if isinstance(means, Mapping) else None
            mean = theirs.get(name) if isinstance(theirs, Mapping) else None
            if not is_number(mean) or not mean:
                raise ValueError(f'reference {path}: it has no mean of {name!r} of task {task!r}')
            found.setdefault(task, {})[name] = float(mean)
    return found


def _value(scoring: Scoring, outcome: Outcome) -> float | None:
    """A metric as its scoring reads it; None where the evaluation has none."""
    if outcome.failure is not None:
        return None
    try:
        return scoring.score(outcome.metrics)
    except NoScore:
        return None
