"""What a config says of its search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from mdl_nas_mm.tasks import ResolvedConfig, Task, pass_groups_of
from mdl_nas_mm.tasks.pass_groups import PassGroup
from mdl_nas_mm.utils.amounts import check_count

from .costs import ParameterCost
from .preferences import check_preferences
from .registered import PARTS, check_part_config, registered_class
from .settings import EvolutionSettings
from .ties import Ties

# What each is, for who reads the reference; those of ``PARTS`` name a registered class.
SEARCH_KEYS = dict(
    budget="The most that all tasks may cost, `235_000_000`, `'235M'` or `'1.5G'`; needed.",
    with_heads='Whether necks and heads count as parameters, True.',
    seed='Of all that the search samples, 0.',
    evolution='How the evolution goes.',
    constraints='Task -> limits on its backbone.',
    random_baseline='Whether a random search of as many evaluations runs as well, False.',
    start='File of architectures to start from, such as the `proposed.json` of conflicts.',
    tied="Which tasks have one architecture: `'all'`, or sets of tasks.",
    prefer='Task -> how much it matters, a factor of its `score_weight`.',
    cost='What the budget is of, of the registry `SEARCH_COSTS`; parameters.',
    score='What scores, of `SEARCH_SCORES`; the supernet, each candidate.',
    selection='How the best is chosen, of `SEARCH_SELECTIONS`; exactly.',
    answers='To how many images of each task the report shows the answers, 3; 0 for none.',
)


@dataclass(frozen=True)
class SearchPlan:
    """A search's settings, checked.

    Attributes:
        budget: the most that all tasks together may cost, in the unit of the cost.
        with_heads: whether parameters are counted with what lies outside the backbones.
        metrics: task -> the metric that is its score.
        weights: task -> how much its score counts in the S-Score (lambda_k), its preference
            included.
        random_baseline: whether a random search with as many evaluations is run as well.
        tied: what tasks have in common, see ``Ties``; the backbone, where they share a pass.
        pass_groups: tasks that share a pass on the same images, where they are several.
        shown: task -> the unit in which its score is shown, see ``shown_score``.
        cost, score, selection: configs of registered classes; None for parameters, evaluations
            of the supernet, and the exact selection.
    """

    budget: int
    with_heads: bool
    seed: int
    evolution: EvolutionSettings
    random_baseline: bool
    metrics: dict[str, str]
    weights: dict[str, float]
    tied: tuple[tuple[str, ...], ...] = ()
    pass_groups: tuple[PassGroup, ...] = ()
    shown: dict[str, float] = field(default_factory=dict)
    cost: dict | None = None
    score: dict | None = None
    selection: dict | None = None

    @classmethod
    def from_config(cls, cfg: ResolvedConfig) -> SearchPlan:
        """Reads ``search_cfg`` of a resolved joint config.

        Raises:
            ValueError: the budget is missing, or a key or a value is not valid.
        """
        given = cfg.get('search_cfg') or {}
        for key in given:
            if key not in SEARCH_KEYS:
                raise ValueError(f'search_cfg: unknown key {key!r}, expected {list(SEARCH_KEYS)}')
        if given.get('budget') is None:
            raise ValueError("search_cfg: 'budget', the most parameters of all tasks, is missing")
        if given.get('cost') is not None and 'with_heads' in given:
            raise ValueError(
                "search_cfg: 'with_heads' is of parameters, leave it out beside 'cost'"
            )
        evolution, known = given.get('evolution') or {}, [f.name for f in fields(EvolutionSettings)]
        if not isinstance(evolution, Mapping):
            raise ValueError(f'search_cfg.evolution: {evolution!r}, expected settings by name')
        for key in evolution:
            if key not in known:
                raise ValueError(f'search_cfg.evolution: unknown key {key!r}, expected {known}')
        for key in ('seed', 'answers'):
            check_count('search_cfg', key, given.get(key, 0), 0)
        parts = {part: given[part] for part in PARTS if given.get(part) is not None}
        for part, config in parts.items():
            check_part_config(part, config)
        prefer = given.get('prefer', dict.fromkeys(cfg.tasks, 1.0))
        check_preferences(prefer, tuple(cfg.tasks), 'search_cfg.prefer')
        tasks, pass_groups = tuple(cfg.tasks), tuple(pass_groups_of(cfg).shared)
        tied = Ties.of(tasks, (*_tied(given.get('tied', ()), tasks), *pass_groups)).sets
        return cls(
            budget=parse_budget(given['budget'], parts.get('cost')),
            with_heads=given.get('with_heads', True),
            seed=given.get('seed', 0),
            evolution=EvolutionSettings(**evolution),
            random_baseline=given.get('random_baseline', False),
            metrics={task: info.score.metric for task, info in cfg.tasks.items()},
            weights={
                task: float(info.score_weight) * prefer.get(task, 0)
                for task, info in cfg.tasks.items()
            },
            tied=tied,
            pass_groups=pass_groups,
            shown={task: _shown_unit(info) for task, info in cfg.tasks.items()},
            **{part: config.to_dict() for part, config in parts.items()},
        )

    @classmethod
    def from_dict(cls, data: Mapping) -> SearchPlan:
        """The inverse of ``to_dict``; also of what was written before there were ``tied`` sets."""
        evolution, given = dict(data['evolution']), dict[str, Any](data)
        if evolution.pop('same_for_all_tasks', False):
            given['tied'] = [list(data['metrics'])]
        given['evolution'] = EvolutionSettings(**evolution)
        for key in ('tied', 'pass_groups'):
            given[key] = tuple(map(tuple, given.get(key, ())))
        return cls(**given)

    @property
    def ties(self) -> Ties:
        """What tasks have in common."""
        return Ties(tuple(self.metrics), self.tied)

    def to_dict(self) -> dict:
        """As JSON knows it."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def _shown_unit(task: Task) -> float:
    """The unit of a task's scores in a search, negative of an error."""
    split = task.search or task.val
    if split is None:
        return task.score.unit
    scoring = task.scoring(split)
    return scoring.gain(scoring.unit)


def _tied(given: Any, tasks: Sequence[str]) -> list[Sequence[str]]:
    """The sets of places that ``search_cfg.tied`` names."""
    if given == 'all':
        return [tasks]
    sets = given if isinstance(given, (list, tuple)) else [None]
    for places in sets:
        named = isinstance(places, (list, tuple)) and len(places) > 1
        if not named or not all(isinstance(place, str) for place in places):
            raise ValueError(
                f"search_cfg.tied: {given!r}, expected 'all' or sets of tasks such as "
                '[("seg", "depth")]'
            )
    return list(sets)


def parse_budget(budget: int | float | str, cost: Mapping | None = None) -> int:
    """A number of parameters from ``235_000_000``, ``'235M'`` or ``'1.5G'``.

    Args:
        budget: as ``search_cfg.budget`` says it.
        cost: config of another cost, which has its own way to write a budget.

    Raises:
        ValueError: it is none.
    """
    kind = ParameterCost
    if cost is not None:
        kind = registered_class('cost', cost)
    return kind.parse_budget(budget)
