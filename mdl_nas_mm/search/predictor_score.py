"""A search with few evaluations: a predictor learns from some, and scores all else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from mmengine.logging import MMLogger

from mdl_nas_mm.registry import SEARCH_SCORES
from mdl_nas_mm.spec import JointSpec, SearchSpace, SubnetSpec
from mdl_nas_mm.utils.amounts import check_count

from .predictor import FEWEST, Predictor
from .scored import Pair, Score

FILE = 'predictor.safetensors'


class EstimatedScore(Protocol):
    """What a search may score with in place of evaluations. Registered in ``SEARCH_SCORES``,
    ``search_cfg.score`` may name it. A static method ``check_config(cfg)``, where there is one, is
    called before the supernet is trained, and raises ValueError for what can be refused then.

    Attributes:
        finalists: how many of the best joint specs the supernet evaluates in the end, of which
            the best is the result; 0 where these scores are the final ones.
    """

    finalists: int

    def __call__(self, pairs: Sequence[Pair]) -> Sequence[float | None]:
        """The scores of (task, architecture) pairs, None for one that has none."""

    def describe(self) -> dict[str, Any]:
        """What a report says of it, JSON-able."""


def check_score_counts(config: Mapping[str, Any]) -> None:
    """Raises ValueError for numbers of samples and finalists of a score that are none."""
    for key in ('samples', 'finalists'):
        check_count('search_cfg.score', key, config.get(key, 1), 1)


@SEARCH_SCORES.register_module()
class PredictorScore:
    """Scores by a predictor, which learns from random joint specs that fit, or is there already.

    Args:
        evaluate: scores pairs with the supernet.
        sample: so many random joint specs that fit, from a seed.
        spaces: task -> where it looks.
        folder: where the predictor is written.
        samples: joint specs that it learns from.
        finalists: see ``EstimatedScore``.
        seed: of the sampled joint specs and of the training.
        file: a predictor to be used in place of learning one.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the predictor is of other tasks or spaces, or has too little to learn from.
    """

    def __init__(
        self,
        evaluate: Score,
        sample: Callable[[int, int], list[JointSpec]],
        spaces: Mapping[str, SearchSpace],
        folder: str | Path,
        samples: int = 200,
        finalists: int = 10,
        seed: int = 0,
        file: str | None = None,
    ) -> None:
        _check(dict(samples=samples, finalists=finalists, file=file))
        self.finalists, self.file = finalists, file
        if file is not None:
            self.predictor = Predictor.load(file)
            self.predictor.check(spaces, file)
            return
        joints = sample(samples, seed)
        pairs = list(dict.fromkeys((task, joint[task]) for task in spaces for joint in joints))
        scored: dict[str, dict[SubnetSpec, float]] = {task: {} for task in spaces}
        for (task, spec), score in zip(pairs, evaluate(pairs), strict=True):
            if score is not None:
                scored[task][spec] = score
        self.predictor = Predictor.fit(scored, spaces, seed, log_held_out)
        self.predictor.save(Path(folder) / FILE)

    @staticmethod
    def check_config(cfg: Mapping[str, Any]) -> None:
        """See ``EstimatedScore``."""
        _check(cfg['search_cfg']['score'])

    def __call__(self, pairs: Sequence[Pair]) -> list[float]:
        return self.predictor(pairs)

    def describe(self) -> dict[str, Any]:
        return dict(type='PredictorScore', file=self.file, held_out=self.predictor.held_out)


def _check(config: Mapping[str, Any]) -> None:
    """Raises ValueError for numbers that are none, or samples that are too few to learn from."""
    check_score_counts(config)
    if config.get('file') is None and config.get('samples', FEWEST) < FEWEST:
        raise ValueError(
            f'search_cfg.score: samples is {config["samples"]}, expected at least {FEWEST}'
        )


def log_held_out(task: str, held_out: Mapping[str, float | None]) -> None:
    """Says how well a task's scores are predicted."""
    numbers = [f'{key} {held_out[key] or 0:.3f}' for key in ('kendall', 'spearman')]
    MMLogger.get_current_instance().info(
        f'Predictor of task {task!r}: rank correlations with {held_out["records"]} scores that '
        f'it had not seen: {", ".join(numbers)}'
    )
