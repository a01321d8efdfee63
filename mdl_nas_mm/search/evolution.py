"""Evolution of joint specs under a budget, as a pure algorithm (Section 3.3, Appendix E).

Nothing here knows a model or a file: candidates are values, scores come from a function, sizes
from the ledger, chance from an explicit random generator. The same generator state and the same
scores give the same run, so an interrupted search is resumed by running it again with a
function that remembers its scores (``History.cached``).
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

from mdl_nas_mm.spec import BlockSpec, JointSpec, Ledger, SearchSpace, StageSpec, SubnetSpec
from mdl_nas_mm.spec.space import BlockSpace

# Draws for one new candidate before it is repaired, and repairs before it is given up.
_TRIES = 10

Evaluate = Callable[[str, SubnetSpec], float]


@dataclass(frozen=True)
class EvolutionSettings:
    """How the evolution goes; the defaults are the paper's (Appendix E).

    Attributes:
        population: new candidates a generation.
        generations: generations, the first random one included.
        parents: how many of the best candidates so far have children.
        crossovers: children a generation from two parents each.
        mutations: children a generation from one parent each. What crossovers and mutations
            leave of the population is drawn at random.
        block_prob: probability that a mutation draws a block anew (P_m).
        stage_prob: probability that a mutation draws a stage's depth, or its width, anew.
    """

    population: int = 50
    generations: int = 20
    parents: int = 10
    crossovers: int = 25
    mutations: int = 25
    block_prob: float = 0.1
    stage_prob: float = 0.4

    def __post_init__(self) -> None:
        for key in ('population', 'generations', 'parents'):
            if getattr(self, key) < 1:
                raise ValueError(f'search: {key} is {getattr(self, key)}, expected at least 1')
        for key in ('crossovers', 'mutations'):
            if getattr(self, key) < 0:
                raise ValueError(f'search: {key} is {getattr(self, key)}, expected at least 0')
        for key in ('block_prob', 'stage_prob'):
            if not 0 <= getattr(self, key) <= 1:
                raise ValueError(f'search: {key} is {getattr(self, key)}, expected 0 to 1')
        children = self.crossovers + self.mutations
        if children > self.population:
            raise ValueError(
                f'search: {self.crossovers} crossovers and {self.mutations} mutations are more '
                f'than the population of {self.population}'
            )


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
    floor = _floor(space, ledger, tasks)
    total = lru_cache(1024)(lambda joint: _total(ledger, joint, with_heads))
    check_budget(budget, space, ledger, tasks, with_heads)
    proposer = _Proposer(space, tasks, lambda joint: total(joint) <= budget, floor, rng)
    known: dict[tuple[str, SubnetSpec], float] = {}
    ranked: list[_Candidate] = []
    log: list[dict] = []
    for generation in range(settings.generations):
        parents = [candidate.joint for candidate in ranked[: settings.parents]]
        joints = proposer.generation(parents, settings)
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


def check_budget(
    budget: int, space: SearchSpace, ledger: Ledger, tasks: Sequence[str], with_heads: bool = True
) -> None:
    """Raises ValueError, naming the smallest possible total, for a budget below it."""
    _, least = smallest_total(space, ledger, tasks, with_heads)
    if budget < least:
        raise ValueError(
            f'search: the budget of {budget:,} parameters is below the smallest possible total, '
            f'{least:,}'
        )


def smallest_total(
    space: SearchSpace, ledger: Ledger, tasks: Sequence[str], with_heads: bool = True
) -> tuple[JointSpec, int]:
    """The joint spec of the fewest parameters, and how many those are.

    It is exact, for every policy and every mix of them:

    1. One architecture for all K tasks is enough. Let P_k be the elements that task k uses and
       S_k the shared ones among them. The union of all S_k is at least as large as their mean,
       so total = |union S_k| + sum |P_k - S_k| >= mean over k of (|S_k| + K |P_k - S_k|), and
       term k of this mean is the total if every task takes the architecture of task k.
    2. That architecture has the smallest sizes. At a fixed share ratio one more channel adds one
       row to P and at most one to S, so K |P| - (K - 1) |S|, which is the total, grows with
       every channel, column and block.
    3. Its share ratios are found by counting, block by block, as blocks add up independently.
       Neither extreme is always best: a higher ratio shares more under the sequential policy,
       but less under the mask policy with a score threshold, and both may rule one block.

    Heads only add a constant.
    """
    joint = _cut(_floor(space, ledger, tasks), space, tasks)
    return joint, _total(ledger, joint, with_heads)


def _floor(space: SearchSpace, ledger: Ledger, tasks: Sequence[str]) -> SubnetSpec:
    """The smallest sizes at the largest depth, with the ratios that make the total smallest."""
    stages = []
    for stage in space.stages:
        blocks = tuple(block.extreme(0, -1) for block in stage.blocks)
        stages.append(StageSpec(stage.embed_dim[0], blocks))
    floor = SubnetSpec(tuple(stages))
    for i, stage in enumerate(space.stages):
        for j, choices in enumerate(stage.blocks):
            options = []
            for attn, ffn in _ratios(choices):
                block = replace(
                    floor.stages[i].blocks[j], attn_share_ratio=attn, ffn_share_ratio=ffn
                )
                options.append(_with_block(floor, i, j, block))
            floor = min(options, key=lambda spec: _total(ledger, _same(spec, tasks)))
    return floor


def _ratios(block: BlockSpace) -> list[tuple[float, float]]:
    """Every (attention, feed-forward) pair of share ratios that a block may have."""
    if block.ffn_share_ratio is None:
        return [(ratio, ratio) for ratio in block.attn_share_ratio]
    return list(product(block.attn_share_ratio, block.ffn_share_ratio))


def _with_block(spec: SubnetSpec, i: int, j: int, block: BlockSpec) -> SubnetSpec:
    """The spec with block ``j`` of stage ``i`` exchanged."""
    stages = list(spec.stages)
    blocks = stages[i].blocks
    stages[i] = replace(stages[i], blocks=(*blocks[:j], block, *blocks[j + 1 :]))
    return SubnetSpec(tuple(stages))


def _cut(floor: SubnetSpec, space: SearchSpace, tasks: Sequence[str]) -> JointSpec:
    """The floor at the smallest depth, for every task."""
    stages = [
        replace(stage, blocks=stage.blocks[: choices.depth[0]])
        for stage, choices in zip(floor.stages, space.stages, strict=True)
    ]
    return _same(SubnetSpec(tuple(stages)), tasks)


def _same(spec: SubnetSpec, tasks: Sequence[str]) -> JointSpec:
    return JointSpec({task: spec for task in tasks})


def _total(ledger: Ledger, joint: JointSpec, with_heads: bool = True) -> int:
    counts = ledger.count(joint)
    return counts.total if with_heads else counts.backbone_total


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


class _Proposer:
    """Draws joint specs that fit the budget and were not drawn before.

    Args:
        fits: whether a joint spec is within the budget.
        floor: what repairs pull towards; cut to the smallest depth it fits for sure.
    """

    def __init__(
        self,
        space: SearchSpace,
        tasks: tuple[str, ...],
        fits: Callable[[JointSpec], bool],
        floor: SubnetSpec,
        rng: random.Random,
    ) -> None:
        self.space = space
        self.tasks = tasks
        self.fits = fits
        self.floor = floor
        self.rng = rng
        self.seen: set[JointSpec] = set()

    def generation(self, parents: list[JointSpec], settings: EvolutionSettings) -> list[JointSpec]:
        """New joint specs, ``population`` of them while the space has as many."""

        def crossover() -> JointSpec:
            first, second = self.rng.choice(parents), self.rng.choice(parents)
            return self._per_task(
                lambda task: self.space.crossover(first[task], second[task], self.rng)
            )

        def mutate() -> JointSpec:
            parent, probs = self.rng.choice(parents), (settings.block_prob, settings.stage_prob)
            return self._per_task(lambda task: self.space.mutate(parent[task], self.rng, *probs))

        def sample() -> JointSpec:
            return self._per_task(lambda task: self.space.sample(self.rng))

        joints = []
        if parents:
            joints += self._draw(crossover, settings.crossovers)
            joints += self._draw(mutate, settings.mutations)
        return joints + self._draw(sample, settings.population - len(joints))

    def _per_task(self, make: Callable[[str], SubnetSpec]) -> JointSpec:
        return JointSpec({task: make(task) for task in self.tasks})

    def _draw(self, make: Callable[[], JointSpec], count: int) -> list[JointSpec]:
        """Up to ``count`` new joint specs; fewer where ``make`` has nothing new left."""
        joints = []
        for _ in range(count):
            joint = self._new(make)
            if joint is None:
                break
            self.seen.add(joint)
            joints.append(joint)
        return joints

    def _new(self, make: Callable[[], JointSpec]) -> JointSpec | None:
        for _ in range(_TRIES):
            joint = make()
            if joint not in self.seen and self.fits(joint):
                return joint
        for _ in range(_TRIES):
            joint = self._repair(make())
            if joint not in self.seen:
                return joint
        return None

    def _repair(self, joint: JointSpec) -> JointSpec:
        """Pulls random pieces of a joint spec to the floor, just as many as it takes to fit."""
        pieces = []
        for task in self.tasks:
            for i, stage in enumerate(joint[task].stages):
                pieces += [(task, i, 'embed_dim'), (task, i, 'depth')]
                pieces += [(task, i, j) for j in range(len(stage.blocks))]
        self.rng.shuffle(pieces)
        # With all pieces pulled it is the smallest joint spec, which fits, so bisection ends
        # with one that fits.
        needed = bisect_left(
            range(len(pieces)), True, key=lambda n: self.fits(self._pull(joint, pieces[:n]))
        )
        return self._pull(joint, pieces[:needed])

    def _pull(self, joint: JointSpec, pieces: list[tuple]) -> JointSpec:
        """Exchanges the named widths, depths and blocks for those of the floor."""
        pulled, specs = set(pieces), {}
        for task, spec in joint.items():
            stages = []
            for i, (stage, floor) in enumerate(zip(spec.stages, self.floor.stages, strict=True)):
                width = floor.embed_dim if (task, i, 'embed_dim') in pulled else stage.embed_dim
                least = self.space.stages[i].depth[0]
                depth = least if (task, i, 'depth') in pulled else len(stage.blocks)
                blocks = [
                    floor.blocks[j] if (task, i, j) in pulled else block
                    for j, block in enumerate(stage.blocks[:depth])
                ]
                stages.append(StageSpec(width, tuple(blocks)))
            specs[task] = SubnetSpec(tuple(stages))
        return JointSpec(specs)
