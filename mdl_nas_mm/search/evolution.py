"""Evolution of joint specs under a budget, as a pure algorithm (Section 3.3, Appendix E).

Nothing here knows a model or a file: candidates are values, scores come from a function, sizes
from the ledger, chance from an explicit random generator. The same generator state and the same
scores give the same run, so an interrupted search is resumed by running it again with a
function that remembers its scores (``History.cached``).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mdl_nas_mm.spec import BatchLedger, JointSpec, Ledger, SearchSpace, SubnetSpec

from .budget import check_budget, floor_spec
from .proposals import Proposer
from .settings import EvolutionSettings

Evaluate = Callable[[str, SubnetSpec], float]


@dataclass(frozen=True)
class SearchResult:
    """The best joint spec that a search found.

    Attributes:
        best: the joint spec.
        score: its S-Score (Eq. 10).
        total: its size in parameters, as the budget counts them.
        scores: task -> score in percent.
        log: one JSON-able mapping a generation: ``generation``; ``candidates``, its new joint
            specs; ``mean``, their mean S-Score; ``best`` and ``total``, S-Score and size of the
            best joint spec so far; ``evaluations``, (task, spec) pairs scored so far.
    """

    best: JointSpec
    score: float
    total: int
    scores: dict[str, float]
    log: list[dict]


def search(
    space: SearchSpace,
    tasks: Sequence[str],
    ledger: Ledger,
    evaluate: Evaluate,
    budget: int,
    settings: EvolutionSettings,
    rng: random.Random,
    weights: Mapping[str, float] | None = None,
    with_heads: bool = True,
    on_generation: Callable[[dict], None] | None = None,
) -> SearchResult:
    """Finds the joint spec of the highest S-Score whose parameters fit the budget (Eq. 10).

    Args:
        evaluate: (task, architecture) -> score in percent; called once a pair, generation by
            generation and within one task by task, so that a task's data stays warm.
        budget: the most parameters that P_share + sum of P_spe may have (Eq. 11).
        weights: task -> lambda_k; 1 for a task that is not named.
        with_heads: whether the budget counts what lies outside the backbones.
        on_generation: called with each generation's entry of the log.

    Returns:
        The best candidate; among equal scores the smallest, then the first found. It ends early
        where no new candidate that fits is found.

    Raises:
        ValueError: before any evaluation, for a budget below the smallest total, tasks without
            a name of their own, weights of unknown tasks, or a space that is not part of the
            ledger's; later, for a score that is not finite.
    """
    tasks = tuple(tasks)
    weights = _weights(tasks, weights)
    _check_space(space, ledger.layout.space)
    floor = floor_spec(space, ledger, tasks)
    batch = BatchLedger(ledger, with_heads)
    total = lru_cache(1024)(lambda joint: int(batch.totals([joint])[0]))
    check_budget(budget, space, ledger, tasks, with_heads)
    proposer = Proposer(space, tasks, lambda joint: total(joint) <= budget, floor, rng, settings)
    known: dict[tuple[str, SubnetSpec], float] = {}
    ranked: list[_Candidate] = []
    log: list[dict] = []
    for generation in range(settings.generations):
        parents = [candidate.joint for candidate in ranked[: settings.parents]]
        joints = proposer.generation(parents)
        if not joints:
            break
        _evaluate(joints, tasks, evaluate, known)
        new = [_candidate(joint, known, weights, total(joint)) for joint in joints]
        # The sort is stable: the first found leads among equals.
        ranked = sorted(ranked + new, key=lambda candidate: (-candidate.score, candidate.total))
        log.append(_entry(generation, new, ranked[0], len(known)))
        if on_generation:
            on_generation(log[-1])
    best = ranked[0]
    return SearchResult(best.joint, best.score, best.total, best.scores, log)


def _weights(tasks: tuple[str, ...], weights: Mapping[str, float] | None) -> dict[str, float]:
    """A weight for every task, or ValueError."""
    if not tasks:
        raise ValueError('search: no task is given')
    for task in tasks:
        if tasks.count(task) > 1:
            raise ValueError(f'search: two tasks are named {task!r}')
    for task in weights or {}:
        if task not in tasks:
            raise ValueError(f'search: weight of unknown task {task!r}, expected {sorted(tasks)}')
    return {task: (weights or {}).get(task, 1.0) for task in tasks}


def _check_space(space: SearchSpace, whole: SearchSpace) -> None:
    """Raises ValueError unless the extremes of ``space`` lie in the ledger's space."""
    for spec in (space.smallest(0), space.smallest(-1), space.largest(0), space.largest(-1)):
        try:
            whole.check(spec)
        except ValueError as error:
            raise ValueError(f"search: the space is not part of the ledger's: {error}") from None


def _evaluate(
    joints: list[JointSpec],
    tasks: tuple[str, ...],
    evaluate: Evaluate,
    known: dict[tuple[str, SubnetSpec], float],
) -> None:
    """Adds the scores that ``joints`` need and that are not known yet, task by task."""
    for task in tasks:
        for joint in joints:
            spec = joint[task]
            if (task, spec) in known:
                continue
            score = float(evaluate(task, spec))
            if not math.isfinite(score):
                raise ValueError(f'search: task {task!r} has score {score} for {spec}')
            known[task, spec] = score


@dataclass(frozen=True)
class _Candidate:
    """A joint spec with its S-Score, its total, and its score a task."""

    joint: JointSpec
    score: float
    total: int
    scores: dict[str, float]


def _candidate(
    joint: JointSpec,
    known: Mapping[tuple[str, SubnetSpec], float],
    weights: Mapping[str, float],
    total: int,
) -> _Candidate:
    """The candidate of a joint spec, with the S-Score sum_k lambda_k f_k (Eq. 10)."""
    scores = {task: known[task, spec] for task, spec in joint.items()}
    return _Candidate(joint, sum(weights[task] * scores[task] for task in joint), total, scores)


def _entry(generation: int, new: list[_Candidate], best: _Candidate, evaluations: int) -> dict:
    """A generation's line of the log."""
    return {
        'generation': generation,
        'candidates': len(new),
        'mean': sum(candidate.score for candidate in new) / len(new),
        'best': best.score,
        'total': best.total,
        'evaluations': evaluations,
    }
