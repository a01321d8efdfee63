"""Evolution of joint specs under a budget, as a pure algorithm (Section 3.3, Appendix E).

Nothing here knows a model or a file: candidates are values, scores come from a function, sizes
from a cost, chance from an explicit random generator. The same generator state and the same
scores give the same run, so an interrupted search is resumed by running it again with a
function that remembers its scores (``Evaluations``).

Scores are per task, so a joint spec may be put together of architectures that were never proposed
together. After each generation the best of all these combinations is found exactly, see
``selection``; it is what the search returns, and one of the parents of the next generation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mdl_nas_mm.spec import JointSpec, SearchSpace, SubnetSpec

from .budget import check_budget
from .costs import Cost
from .proposals import Proposer
from .scored import Pair, Score, ScoredJoint, scored_joints
from .selections import Selection
from .settings import EvolutionSettings
from .ties import Ties

Allow = Callable[[str, SubnetSpec], bool]


class SearchFailed(ValueError):
    """There is no candidate of which all tasks have a score."""


@dataclass(frozen=True)
class SearchResult:
    """The best joint spec that a search found.

    Attributes:
        chosen: the joint spec with its scores and what it costs.
        log: one JSON-able mapping a generation: ``generation``; ``candidates``, its new joint
            specs; ``mean``, their mean S-Score; ``best`` and ``total``, S-Score and cost of the
            best joint spec so far; ``evaluations``, (task, spec) pairs scored so far; ``spared``,
            those of candidates that had a score already.
        scored: task -> architecture -> score, of all that were scored and did not fail.
        candidates: the joint specs that were proposed and did not fail, in their order.
    """

    chosen: ScoredJoint
    log: list[dict]
    scored: dict[str, dict[SubnetSpec, float]]
    candidates: list[ScoredJoint]

    @property
    def best(self) -> JointSpec:
        """The joint spec."""
        return self.chosen.joint

    @property
    def score(self) -> float:
        """Its S-Score (Eq. 10)."""
        return self.chosen.score

    @property
    def total(self) -> int:
        """What it costs."""
        return self.chosen.total

    @property
    def scores(self) -> dict[str, float]:
        """Task -> score."""
        return self.chosen.scores


def search(
    spaces: Mapping[str, SearchSpace],
    cost: Cost,
    score: Score,
    selection: Selection,
    budget: int,
    settings: EvolutionSettings,
    rng: random.Random,
    allow: Allow | None = None,
    on_generation: Callable[[dict], None] | None = None,
    ties: Ties | None = None,
    start: Sequence[JointSpec] = (),
) -> SearchResult:
    """Finds the joint spec of the highest S-Score that fits the budget (Eq. 10, 11).

    Args:
        spaces: task -> where its architecture is looked for.
        cost: what the budget is of.
        score: called once a generation with the (task, architecture) pairs that have no score
            yet, task by task, so that a task's data stays warm; gives their scores,
            the higher the better, None for one that failed.
        selection: chooses among what was scored, and says how much each task counts.
        budget: the most that a joint spec may cost.
        settings: sizes of the evolution and its probabilities.
        rng: of everything that is random in it.
        allow: whether a task may have an architecture; the smallest ones have to be allowed.
        on_generation: called with each generation's entry of the log.
        ties: what tasks have in common; by default each has its own architecture.
        start: joint specs that the first generation is made of, where they fit, and of their
            children; by default it is random.

    Returns:
        The best joint spec of scored architectures; among equal scores the cheapest, then the
        first found. It ends early where no new candidate that fits is found.

    Raises:
        ValueError: before any evaluation, for a budget below the smallest total, weights of
            other tasks, or spaces that the cost does not know.
        SearchFailed: no candidate of a generation, nor any before, has a score.
    """
    tasks, weights = tuple(spaces), selection.weights
    if not tasks or set(tasks) != set(weights):
        raise ValueError(f'search: weights of {sorted(weights)}, the tasks are {sorted(tasks)}')
    check_budget(budget, spaces, cost)
    proposer = new_proposer(spaces, cost, budget, settings, rng, allow, ties)
    known: dict[Pair, float | None] = {}
    candidates: list[ScoredJoint] = []
    best: ScoredJoint | None = None
    scored: dict[str, dict[SubnetSpec, float]] = {task: {} for task in tasks}
    log: list[dict] = []
    asked = 0
    for generation in range(settings.generations):
        if generation:
            proposed = proposer.generation(leaders(candidates, best)[: settings.parents])
        else:
            proposed = proposer.first(start)
        joints = _affordable(proposed, known, settings.max_evaluations)
        if not joints:
            break
        pairs = _unscored(joints, tasks, known)
        for (task, spec), value in zip(pairs, score(pairs), strict=True):
            known[task, spec] = value
            if value is not None:
                scored[task][spec] = value
        new = scored_joints(joints, scored, cost, weights)
        candidates += new
        best = selection.best(scored, candidates, budget)
        if best is None:
            raise SearchFailed('search: every candidate so far has failed')
        asked += len(joints) * len(tasks)
        log.append(_entry(generation, len(joints), new, best, len(known), asked))
        if on_generation:
            on_generation(log[-1])
    if best is None:
        raise ValueError(
            f'search: max_evaluations of {settings.max_evaluations} are too few for one joint spec'
        )
    return SearchResult(best, log, scored, candidates)


def new_proposer(
    spaces: Mapping[str, SearchSpace],
    cost: Cost,
    budget: int,
    settings: EvolutionSettings,
    rng: random.Random,
    allow: Allow | None = None,
    ties: Ties | None = None,
) -> Proposer:
    """What proposes joint specs that fit; the arguments are those of ``search``."""
    ties = ties or Ties(tuple(spaces))
    ties.check(spaces)
    total = lru_cache(1024)(lambda joint: int(cost.totals([joint])[0]))

    def fits(joint: JointSpec) -> bool:
        allowed = allow is None or all(allow(task, spec) for task, spec in joint.items())
        return allowed and total(joint) <= budget

    return Proposer(spaces, fits, cost.floors(spaces), rng, settings, ties)


def leaders(candidates: Sequence[ScoredJoint], best: ScoredJoint | None) -> list[JointSpec]:
    """The candidates so far, the best first, and the best combination of what they consist of."""
    if best is None:
        return []
    points = {point.joint: point for point in (best, *candidates)}
    # The sort is stable: the first found leads among equals.
    return sorted(points, key=lambda joint: (-points[joint].score, points[joint].total))


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


def _entry(
    generation: int,
    proposed: int,
    new: Sequence[ScoredJoint],
    best: ScoredJoint,
    evaluations: int,
    asked: int,
) -> dict:
    """A generation's line of the log."""
    return {
        'generation': generation,
        'candidates': proposed,
        'mean': sum(point.score for point in new) / len(new) if new else None,
        'best': best.score,
        'total': best.total,
        'evaluations': evaluations,
        'spared': asked - evaluations,
    }
