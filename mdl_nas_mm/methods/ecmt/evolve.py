"""The search for an architecture (Algorithm 2), on rows of places; see ``JointColumns``. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mdl_nas_mm.search.columns import JointColumns
from mdl_nas_mm.utils.amounts import shown_amount, shown_least

from .preferences import decoder_places

# Parts of a whole by which decoders are lowered where they leave nothing for an encoder.
_LOWER = 20
# How often a mutation that does not fit is sampled anew.
_TRIES = 20
Costs = Callable[[np.ndarray], np.ndarray]


class InfeasibleBudget(ValueError):
    """No architecture fits.

    Attributes:
        budget: what was asked for.
        least: what the smallest costs.
    """

    def __init__(self, budget: float, least: float, unit: str = '') -> None:
        text = f'budget {shown_amount(budget)} {unit}'.rstrip()
        super().__init__(f'{text}: the smallest that is possible has {shown_least(least)}')
        self.budget, self.least = budget, least


@dataclass(frozen=True)
class Evolution:
    """Settings of the search.

    Attributes:
        pool: P, encoders in the pool.
        cycles: T_cycle, mutations.
        layers: K, layers that a mutation widens.
        seed: of all that is random.
    """

    pool: int = 50
    cycles: int = 10
    layers: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (('pool', 1), ('cycles', 0), ('layers', 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f'search: {name} {value!r}, expected a number of at least {least}')


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        row: places of all columns.
        cost: of it, in the unit of the budget.
        losses: task -> its predicted loss.
        lowered: what preferences were multiplied by, so that the decoders leave an encoder; 1 where
            they do.
    """

    row: np.ndarray
    cost: float
    losses: Mapping[str, float]
    lowered: float = 1.0


def evolve(
    columns: JointColumns,
    cost: Costs,
    losses: Callable[[np.ndarray], np.ndarray],
    budget: float,
    preferences: Mapping[str, float],
    settings: Evolution | None = None,
    scales: Sequence[float] | None = None,
    alike: Sequence[Sequence[str]] = (),
) -> Found:
    """The best architecture of one encoder and the decoders that preferences give.

    Args:
        columns: what there is to choose from.
        cost: (n, columns) rows -> (n,) costs.
        losses: (n, columns) rows -> (n, tasks) predicted losses.
        budget: the most that it may cost.
        preferences: task -> its preference in [0, 1]; see ``normalised``.
        settings: of the evolution.
        scales: for each task by what its losses differ; losses of several most preferred tasks
            are added up in this unit.
        alike: sets of tasks that get one decoder width, that of the most preferred of them.

    Raises:
        InfeasibleBudget: the smallest architecture costs more.
    """
    settings = settings or Evolution()
    rng = np.random.default_rng(settings.seed)
    tasks = list(columns.spaces)
    decoders, lowered = _decoders(columns, cost, budget, _equal_for_related(preferences, alike))
    preferred = [i for i, task in enumerate(tasks) if preferences[task] == 1]
    weights = np.zeros(len(tasks))
    weights[preferred] = (
        1 / np.asarray(scales if scales is not None else np.ones(len(tasks)))[preferred]
    )
    pool = _first_pool(columns, cost, budget, decoders, settings.pool, rng)
    judged = losses(pool) @ weights
    spent = cost(pool)
    for _ in range(settings.cycles):
        chosen = int(rng.integers(len(pool)))
        mutated = _mutated(columns, cost, budget, pool[chosen], spent[chosen], settings.layers, rng)
        if mutated is None:
            continue
        row, of_row = mutated
        pool, spent = np.vstack([pool, row]), np.append(spent, of_row)
        judged = np.append(judged, losses(row[None]) @ weights)
        if len(pool) > settings.pool:
            keep = np.arange(len(pool)) != int(np.argmax(judged))
            pool, spent, judged = pool[keep], spent[keep], judged[keep]
    best = int(np.argmin(judged))
    predicted = losses(pool[best : best + 1])[0]
    return Found(pool[best], float(spent[best]), dict(zip(tasks, predicted.tolist())), lowered)


def _equal_for_related(
    preferences: Mapping[str, float], alike: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Preferences of which related tasks have the highest of theirs."""
    found = dict(preferences)
    for related in alike:
        most = max(preferences[task] for task in related)
        found.update(dict.fromkeys(related, most))
    return found


def _decoders(
    columns: JointColumns, cost: Costs, budget: float, preferences: Mapping[str, float]
) -> tuple[np.ndarray, float]:
    """A row of the smallest encoder with decoders by Eq. 4, lowered together until it fits."""
    for step in range(_LOWER, -1, -1):
        row = np.zeros(len(columns), np.int64)
        for task, numbers in columns.decoders.items():
            own = [columns.columns[number].choices for number in numbers]
            row[list(numbers)] = decoder_places(preferences[task], own, step / _LOWER)
        spent = float(cost(row[None])[0])
        if spent <= budget:
            return row, step / _LOWER
    raise InfeasibleBudget(budget, float(cost(np.zeros((1, len(columns)), np.int64))[0]))


def _first_pool(
    columns: JointColumns,
    cost: Costs,
    budget: float,
    decoders: np.ndarray,
    size: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Encoders of one width that fit, and random ones, lowered layer by layer until they do."""
    choices = columns.choices[: columns.encoder]
    levels = int(choices.max(initial=1))
    shares = np.arange(levels) / max(levels - 1, 1)
    uniform = np.round(shares[:, None] * (choices - 1)).astype(np.int64)
    # Of all levels, as the largest ones seldom fit.
    top = np.ceil((choices - 1) * rng.random((size, 1)))
    sampled = np.floor(rng.random((size, len(choices))) * (top + 1)).astype(np.int64)
    pool = np.tile(decoders, (levels + size, 1))
    pool[:, : columns.encoder] = np.concatenate([uniform, sampled])
    fits = cost(pool[:levels]) <= budget
    fits[0] = True
    pool = np.concatenate([pool[:levels][fits], pool[levels:]])[: max(size, 1)]
    while True:
        over = np.flatnonzero(cost(pool) > budget)
        if not len(over):
            return pool
        own = pool[over, : columns.encoder]
        # One of the layers that are not at their smallest, each with the same chance.
        pick = np.where(own > 0, rng.random(own.shape), -1.0).argmax(1)
        pool[over, pick] -= 1


def _mutated(
    columns: JointColumns,
    cost: Costs,
    budget: float,
    row: np.ndarray,
    spent: float,
    layers: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, float] | None:
    """A row with some layers of its encoder moved by Eq. 5, and its cost; None if none fits."""
    step = int(np.sign(budget - spent))
    if not step or not columns.encoder:
        return None
    count = min(layers, columns.encoder)
    for _ in range(_TRIES):
        found = row.copy()
        picked = rng.choice(columns.encoder, count, replace=False)
        found[picked] = np.clip(found[picked] + step, 0, columns.choices[picked] - 1)
        cost_of = float(cost(found[None])[0])
        if cost_of <= budget and (found != row).any():
            return found, cost_of
    return None
