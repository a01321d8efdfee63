"""Evolution of joint specs under a budget, as a pure algorithm (Section 3.3, Appendix E).

Nothing here knows a model or a file: candidates are values, scores come from a function, sizes
from the ledger, chance from an explicit random generator. The same generator state and the same
scores give the same run, so an interrupted search is resumed by running it again with a
function that remembers its scores (``History.cached``).

Scores are per task, so a joint spec may be put together of architectures that were never proposed
together. After each generation the best of all these combinations is found exactly, see
``selection``; it is what the search returns, and one of the parents of the next generation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mdl_nas_mm.spec import BatchLedger, JointSpec, Ledger, SearchSpace, SubnetSpec

from .budget import check_budget, floor_spec
from .exact import Selection, select
from .proposals import Proposer
from .settings import EvolutionSettings

Pair = tuple[str, SubnetSpec]
Evaluate = Callable[[Sequence[Pair]], Sequence[float | None]]
Allow = Callable[[str, SubnetSpec], bool]


class SearchFailed(ValueError):
    """There is no candidate of which all tasks have a score."""


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
            best joint spec so far; ``evaluations``, (task, spec) pairs scored so far; ``spared``,
            those of candidates that had a score already.
        scored: task -> architecture -> score, of all that were scored and did not fail.
    """

    best: JointSpec
    score: float
    total: int
    scores: dict[str, float]
    log: list[dict]
    scored: dict[str, dict[SubnetSpec, float]]


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
    allow: Allow | None = None,
    on_generation: Callable[[dict], None] | None = None,
) -> SearchResult:
    """Finds the joint spec of the highest S-Score whose parameters fit the budget (Eq. 10).

    Args:
        evaluate: called once a generation with the (task, architecture) pairs that have no score
            yet, task by task, so that a task's data stays warm; gives their scores in percent,
            None for one that failed.
        budget: the most parameters that P_share + sum of P_spe may have (Eq. 11).
        weights: task -> lambda_k; 1 for a task that is not named.
        with_heads: whether the budget counts what lies outside the backbones.
        allow: whether a task may have an architecture; the smallest ones have to be allowed.
        on_generation: called with each generation's entry of the log.

    Returns:
        The best joint spec of scored architectures; among equal scores the smallest, then the
        first found. It ends early where no new candidate that fits is found.

    Raises:
        ValueError: before any evaluation, for a budget below the smallest total, tasks without
            a name of their own, weights of unknown tasks, or a space that is not part of the
            ledger's.
        SearchFailed: no candidate of a generation, nor any before, has a score.
    """
    tasks = tuple(tasks)
    weights = task_weights(tasks, weights)
    _check_space(space, ledger.layout.space)
    check_budget(budget, space, ledger, tasks, with_heads)
    batch = BatchLedger(ledger, with_heads)
    total = lru_cache(1024)(lambda joint: int(batch.totals([joint])[0]))

    def fits(joint: JointSpec) -> bool:
        allowed = allow is None or all(allow(task, spec) for task, spec in joint.items())
        return allowed and total(joint) <= budget

    floor = floor_spec(space, ledger, tasks)
    proposer = Proposer(space, tasks, fits, floor, rng, settings)
    known: dict[Pair, float | None] = {}
    candidates: list[JointSpec] = []
    best: Selection | None = None
    log: list[dict] = []
    asked = 0
    for generation in range(settings.generations):
        parents = _parents(candidates, best, known, weights, total, settings.parents)
        joints = _affordable(proposer.generation(parents), known, settings.max_evaluations)
        if not joints:
            break
        pairs = _unscored(joints, tasks, known)
        known.update(zip(pairs, evaluate(pairs), strict=True))
        candidates += [joint for joint in joints if _s_score(joint, known, weights) is not None]
        best = select(_scored(known, tasks), batch, budget, weights, settings.same_for_all_tasks)
        if best is None:
            raise SearchFailed('search: every candidate so far has failed')
        asked += len(joints) * len(tasks)
        log.append(_entry(joints, best, known, weights, generation, asked))
        if on_generation:
            on_generation(log[-1])
    if best is None:
        raise ValueError(
            f'search: max_evaluations of {settings.max_evaluations} are too few for one joint spec'
        )
    scored = _scored(known, tasks)
    return SearchResult(best.joint, best.score, best.total, best.scores, log, scored)


def task_weights(tasks: tuple[str, ...], weights: Mapping[str, float] | None) -> dict[str, float]:
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


def _parents(
    candidates: Sequence[JointSpec],
    best: Selection | None,
    known: Mapping[Pair, float | None],
    weights: Mapping[str, float],
    total: Callable[[JointSpec], int],
    count: int,
) -> list[JointSpec]:
    """The best candidates so far, the best combination of what they consist of among them."""
    if best is None:
        return []
    # The sort is stable: the first found leads among equals.
    joints = dict.fromkeys([best.joint, *candidates])
    ranked = sorted(joints, key=lambda joint: (-_s_score(joint, known, weights), total(joint)))
    return ranked[:count]


def _affordable(
    joints: list[JointSpec], known: Mapping[Pair, float | None], most: int | None
) -> list[JointSpec]:
    """The first of the joint specs, as many as the limit of evaluations allows."""
    if most is None:
        return joints
    pairs = set(known)
    for number, joint in enumerate(joints):
        pairs |= set(joint.items())
        if len(pairs) > most:
            return joints[:number]
    return joints


def _unscored(
    joints: Sequence[JointSpec], tasks: Sequence[str], known: Mapping[Pair, float | None]
) -> list[Pair]:
    """What has to be scored for ``joints``, each once, task by task."""
    pairs = dict.fromkeys((task, joint[task]) for task in tasks for joint in joints)
    return [pair for pair in pairs if pair not in known]


def _scored(
    known: Mapping[Pair, float | None], tasks: Sequence[str]
) -> dict[str, dict[SubnetSpec, float]]:
    scored = {task: {} for task in tasks}
    for (task, spec), score in known.items():
        if score is not None:
            scored[task][spec] = score
    return scored


def _s_score(
    joint: JointSpec, known: Mapping[Pair, float | None], weights: Mapping[str, float]
) -> float | None:
    """The S-Score sum_k lambda_k f_k (Eq. 10), or None where a task has failed."""
    scores = {task: known[task, spec] for task, spec in joint.items()}
    if None in scores.values():
        return None
    return sum(weights[task] * scores[task] for task in weights)


def _entry(
    joints: Sequence[JointSpec],
    best: Selection,
    known: Mapping[Pair, float | None],
    weights: Mapping[str, float],
    generation: int,
    asked: int,
) -> dict:
    """A generation's line of the log."""
    new = [_s_score(joint, known, weights) for joint in joints]
    new = [score for score in new if score is not None]
    return {
        'generation': generation,
        'candidates': len(joints),
        'mean': sum(new) / len(new) if new else None,
        'best': best.score,
        'total': best.total,
        'evaluations': len(known),
        'spared': asked - len(known),
    }
