"""What a config says of its search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from mmengine.config import Config

from .constraints import parse_count
from .evolution import task_weights
from .settings import EvolutionSettings

_KEYS = (
    'budget',
    'with_heads',
    'seed',
    'evolution',
    'constraints',
    'random_baseline',
)


@dataclass(frozen=True)
class SearchPlan:
    """A search's settings, checked.

    Attributes:
        budget: the most parameters of all tasks together.
        with_heads: whether these are counted with what lies outside the backbones.
        metrics: task -> the metric that is its score.
        weights: task -> how much its score counts in the S-Score (lambda_k).
        random_baseline: whether a random search with as many evaluations is run as well.
    """

    budget: int
    with_heads: bool
    seed: int
    evolution: EvolutionSettings
    random_baseline: bool
    metrics: dict[str, str]
    weights: dict[str, float]

    @classmethod
    def from_config(cls, cfg: Config) -> SearchPlan:
        """Reads ``search_cfg`` of a resolved joint config.

        Raises:
            ValueError: the budget is missing, or a key or a value is not valid.
        """
        given = cfg.get('search_cfg') or {}
        for key in given:
            if key not in _KEYS:
                raise ValueError(f'search_cfg: unknown key {key!r}, expected {list(_KEYS)}')
        if given.get('budget') is None:
            raise ValueError("search_cfg: 'budget', the most parameters of all tasks, is missing")
        known = [field.name for field in fields(EvolutionSettings)]
        for key in given.get('evolution', {}):
            if key not in known:
                raise ValueError(f'search_cfg, evolution: unknown key {key!r}, expected {known}')
        weights = {task: float(info.score_weight) for task, info in cfg.tasks.items()}
        return cls(
            budget=parse_budget(given.budget),
            with_heads=given.get('with_heads', True),
            seed=given.get('seed', 0),
            evolution=EvolutionSettings(**given.get('evolution', {})),
            random_baseline=given.get('random_baseline', False),
            metrics={task: info.score for task, info in cfg.tasks.items()},
            weights=task_weights(tuple(cfg.tasks), weights),
        )

    @classmethod
    def from_dict(cls, data: Mapping) -> SearchPlan:
        """The inverse of ``to_dict``."""
        return cls(**{**data, 'evolution': EvolutionSettings(**data['evolution'])})

    def to_dict(self) -> dict:
        """As JSON knows it."""
        return asdict(self)


def parse_budget(budget: int | float | str) -> int:
    """A number of parameters from ``235_000_000``, ``'235M'`` or ``'1.5G'``, or ValueError."""
    return parse_count(budget, 'budget', 'parameters, such as 235M or 235000000')
