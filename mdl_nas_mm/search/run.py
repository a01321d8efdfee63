"""A whole search: from a joint config and a supernet's checkpoint to a joint spec on disk."""

from __future__ import annotations

import json
import math
import random
import re
import time
from dataclasses import fields
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import MMLogger

from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.tasks import drawn_space, task_scope
from mdl_nas_mm.utils.files import sha256_of, written_whole
from mdl_nas_mm.utils.jsonable import to_json

from .budget import check_budget
from .evaluator import SupernetEvaluator
from .evolution import SearchResult, search
from .history import History
from .settings import EvolutionSettings

_UNITS = {'': 1, 'K': 10**3, 'M': 10**6, 'G': 10**9}


def parse_budget(budget: int | float | str) -> int:
    """A number of parameters from ``235_000_000``, ``'235M'`` or ``'1.5G'``.

    Raises:
        ValueError: it is not a positive number with such a unit.
    """
    match = re.fullmatch(r'([0-9.]+(?:e[0-9]+)?)([KMG]?)', str(budget).strip().replace('_', ''))
    try:
        value = float(match[1]) * _UNITS[match[2]]
    except (TypeError, ValueError):
        value = 0
    if not 1 <= value < math.inf:
        raise ValueError(f'budget {budget!r}: expected parameters, such as 235M or 235000000')
    return int(value)


def run_search(cfg: Config, checkpoint: str | Path, work_dir: str | Path) -> SearchResult:
    """Searches as the config's ``search_cfg`` says; goes on where an earlier run stopped.

    Writes ``history.jsonl`` (every evaluation) as it goes, and ``joint_spec.json`` (the result)
    when complete.

    Args:
        cfg: a resolved joint config with ``search_cfg = dict(budget=..., with_heads=True,
            seed=0, evolution=dict(...))``; see ``EvolutionSettings``.
        checkpoint: the trained supernet.

    Raises:
        ValueError: the budget cannot be met, a setting is not valid, or the checkpoint does not
            fit the config.
    """
    settings, budget = _settings(cfg)
    model = load_supernet(cfg, checkpoint)
    ledger = model.backbone.ledger(model.head_sizes())
    fingerprint = dict(
        space=model.backbone.space.to_config(),
        sharing=model.backbone.sharing.to_config(),
        checkpoint=sha256_of(checkpoint),
        scores={task: info.score for task, info in cfg.tasks.items()},
        data=to_json(cfg.search_dataloader),
        evaluators=to_json(cfg.search_evaluator),
    )
    history = History(Path(work_dir) / 'history.jsonl', fingerprint)
    progress = _Progress(settings, len(cfg.tasks))
    scorer = history.cached(SupernetEvaluator(model, cfg))

    def evaluate(task: str, spec: SubnetSpec) -> float:
        score = scorer(task, spec)
        progress.evaluated(len(history), history.hits)
        return score

    result = search(
        drawn_space(cfg, model.backbone.space),
        tuple(cfg.tasks),
        ledger,
        evaluate,
        budget,
        settings,
        random.Random(cfg.search_cfg.get('seed', 0)),
        weights={task: info.score_weight for task, info in cfg.tasks.items()},
        with_heads=cfg.search_cfg.get('with_heads', True),
        on_generation=progress.generation,
    )
    report = dict(
        budget=budget,
        total=result.total,
        s_score=result.score,
        scores=result.scores,
        joint_spec=result.best.to_dict(),
        generations=result.log,
    )
    with written_whole(Path(work_dir) / 'joint_spec.json') as temporary:
        temporary.write_text(json.dumps(report, indent=1))
    return result


def check_search(cfg: Config) -> None:
    """Finds what is wrong with a config's search before its supernet is trained.

    Raises:
        ValueError: a setting is not valid, or the budget cannot be met. Under the mask policy
            the smallest total depends on learned scores, so that the budget is checked later.
    """
    _, budget = _settings(cfg)
    with_heads = cfg.search_cfg.get('with_heads', True)
    with task_scope('mdl_nas_mm'):
        model = MODELS.build(cfg.model)
    if not model.backbone.scores():
        ledger = model.backbone.ledger(model.head_sizes())
        space = drawn_space(cfg, model.backbone.space)
        check_budget(budget, space, ledger, tuple(cfg.tasks), with_heads)


def _settings(cfg: Config) -> tuple[EvolutionSettings, int]:
    """What the search's config says, the budget in parameters, or ValueError."""
    search_cfg = cfg.get('search_cfg') or {}
    if search_cfg.get('budget') is None:
        raise ValueError("search_cfg: 'budget', the most parameters of all tasks, is missing")
    known = [field.name for field in fields(EvolutionSettings)]
    for key in search_cfg.get('evolution', {}):
        if key not in known:
            raise ValueError(f'search_cfg, evolution: unknown key {key!r}, expected {known}')
    return EvolutionSettings(**search_cfg.get('evolution', {})), parse_budget(search_cfg.budget)


class _Progress:
    """Logs how far a search is, every few seconds and after each generation."""

    def __init__(self, settings: EvolutionSettings, num_tasks: int) -> None:
        self.expected = settings.population * settings.generations * num_tasks
        self.generations = settings.generations
        self.per_generation = settings.population * num_tasks
        self.started = self.reported = time.monotonic()
        self.done, self.in_generation, self.finished = 0, 0, 0
        self.logger = MMLogger.get_current_instance()

    def evaluated(self, known: int, spared: int) -> None:
        """Counts one evaluation."""
        self.done += 1
        self.in_generation += 1
        now = time.monotonic()
        if now - self.reported > 10:
            self.reported = now
            self.logger.info(
                f'Search [{self.finished + 1}/{self.generations}]  evaluations: {known}  '
                f'from history: {spared}  eta: {self._left(now)}'
            )

    def generation(self, entry: dict) -> None:
        """Reports a finished generation."""
        self.finished += 1
        self.in_generation = 0
        self.logger.info(
            f'Search [{self.finished}/{self.generations}]  best s_score: {entry["best"]:.2f}  '
            f'params: {entry["total"]:,}  evaluations: {entry["evaluations"]}  '
            f'eta: {self._left(time.monotonic())}'
        )

    def _left(self, now: float) -> str:
        share = self.finished + min(self.in_generation / self.per_generation, 1)
        seconds = (now - self.started) * (self.generations / max(share, 1e-3) - 1)
        return time.strftime('%H:%M:%S', time.gmtime(seconds))
