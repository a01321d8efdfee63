"""New joint specs within a budget: drawn, crossed, mutated, repaired."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable

from mdl_nas_mm.spec import JointSpec, SearchSpace, StageSpec, SubnetSpec

from .settings import EvolutionSettings

# Draws for one new candidate before it is repaired, and repairs before it is given up.
_TRIES = 10


class Proposer:
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
