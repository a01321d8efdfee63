"""New joint specs within a budget: sampled, crossed, mutated, repaired."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from mdl_nas_mm.spec import JointSpec, SearchSpace, SubnetSpec

from .settings import EvolutionSettings
from .ties import Ties

# Samples for one new candidate before it is repaired, and repairs before it is given up.
_TRIES = 10


class Proposer:
    """Samples joint specs that fit the budget and were not proposed before.

    Args:
        spaces: task -> where its architectures are sampled from.
        fits: whether a joint spec is within the budget and other constraints.
        floors: task -> what repairs pull towards; cut to the smallest depth they fit for sure.
        rng: of all samples, mutations and crossovers.
        settings: how many of which kind, and how much they differ.
        ties: what tasks have in common.
    """

    def __init__(
        self,
        spaces: Mapping[str, SearchSpace],
        fits: Callable[[JointSpec], bool],
        floors: Mapping[str, SubnetSpec],
        rng: random.Random,
        settings: EvolutionSettings,
        ties: Ties,
    ) -> None:
        self.spaces = spaces
        self.fits = fits
        self.floors = floors
        self.rng = rng
        self.settings = settings
        self.ties = ties
        self.leading = ties.leading(spaces)
        self.seen: set[JointSpec] = set()

    def first(self, start: Iterable[JointSpec]) -> list[JointSpec]:
        """The first generation: joint specs to start from, where they fit, and children of them."""
        parents = [self._per_task(joint.__getitem__) for joint in start]
        given = [joint for joint in dict.fromkeys(parents) if self.fits(joint)]
        self.seen.update(given)
        return (given + self.generation(parents))[: self.settings.population]

    def generation(self, parents: list[JointSpec]) -> list[JointSpec]:
        """New joint specs, ``population`` of them while the space has as many."""
        settings = self.settings

        def crossover() -> JointSpec:
            first, second = self.rng.choice(parents), self.rng.choice(parents)
            return self._per_task(
                lambda task: self.spaces[task].crossover(first[task], second[task], self.rng)
            )

        def mutate() -> JointSpec:
            parent, probs = self.rng.choice(parents), (settings.block_prob, settings.stage_prob)
            return self._per_task(
                lambda task: self.spaces[task].mutate(parent[task], self.rng, *probs)
            )

        def sample() -> JointSpec:
            return self._per_task(lambda task: self.spaces[task].sample(self.rng))

        joints = []
        if parents:
            joints += self._fitting(crossover, settings.crossovers)
            joints += self._fitting(mutate, settings.mutations)
        return joints + self._fitting(sample, settings.population - len(joints))

    def _per_task(self, make: Callable[[str], SubnetSpec]) -> JointSpec:
        return self.ties.joint({task: make(task) for task in self.leading})

    def _fitting(self, make: Callable[[], JointSpec], count: int) -> list[JointSpec]:
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
        for task in self.leading:
            for i, (stage, space) in enumerate(zip(joint[task].stages, self.spaces[task].stages)):
                if not self.ties.leads(task, self.spaces[task], i):
                    continue
                pieces += [(task, i, name) for name in space.named]
                # Blocks that have to be alike are one piece.
                pieces += [(task, i, j) for j in range(1 if space.per_stage else len(stage.blocks))]
        self.rng.shuffle(pieces)
        # With all pieces pulled it is the smallest joint spec, which fits, so bisection ends
        # with one that fits.
        needed = bisect_left(
            range(len(pieces)), True, key=lambda n: self.fits(self._pull(joint, pieces[:n]))
        )
        return self._pull(joint, pieces[:needed])

    def _pull(self, joint: JointSpec, pieces: list[tuple]) -> JointSpec:
        """Exchanges the named sizes, depths and blocks for those of the floor."""

        def pull(task: str) -> SubnetSpec:
            stages = []
            for i, stage in enumerate(joint[task].stages):
                pulled = {what for owner, j, what in pieces if (owner, j) == (task, i)}
                stages.append(self._pull_stage(stage, task, i, pulled))
            return replace(joint[task], stages=tuple(stages))

        return self._per_task(pull)

    def _pull_stage(self, stage: Any, task: str, index: int, pulled: set) -> Any:
        """One stage with its sizes, its depth, or blocks of those numbers from the floor."""
        space, floor = self.spaces[task].stages[index], self.floors[task].stages[index]
        depth = space.depth[0] if 'depth' in pulled else len(stage.blocks)
        blocks = tuple(
            floor.blocks[j] if (0 if space.per_stage else j) in pulled else stage.blocks[j]
            for j in range(depth)
        )
        sizes = {name: getattr(floor, name) for name in pulled & set(space.named) - {'depth'}}
        return replace(stage, **sizes, blocks=blocks)
