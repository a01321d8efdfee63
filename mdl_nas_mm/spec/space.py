"""The search space: the choices for every dimension of an architecture."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .dimensions import Dimensions
from .spec import MAX_STAGES, JointSpec, SubnetSpec, split
from .stage_space import StageSpace, stage_from_config, stage_to_config


@dataclass(frozen=True)
class SearchSpace:
    """The product of all choices, with the samples that training and search take from it.

    All of them take an explicit ``random.Random``, so that the same state gives the same spec.

    Attributes:
        parts: the names of elastic parts beside the backbone, whose stages follow behind its own,
            and of how many stages each is.
    """

    stages: tuple[StageSpace, ...]
    dimensions: Dimensions
    parts: tuple[tuple[str, int], ...] = ()

    @classmethod
    def from_config(
        cls, config: Mapping | Sequence[Mapping], dimensions: Dimensions
    ) -> SearchSpace:
        """Builds a space from one mapping a stage, or a single one for a single stage.

        A stage is ``dict(depth=, share_ratio=, ...)`` with the dimensions of the family. Every
        choice is a tuple; a bare number is a single choice. A list of tuples gives each block
        its own choices. Share ratios by their own names in place of ``share_ratio`` are
        independent of each other. Without any, everything is shared. ``per_stage=True`` makes
        all blocks of a stage alike. ``dict(depth=0)`` is a stage that no architecture has, where
        they may lack some.

        Raises:
            ValueError: a key is unknown or missing, a choice is empty or not positive, or a share
                ratio lies outside [0, 1].
        """
        stages = [config] if isinstance(config, Mapping) else config
        if (
            not isinstance(stages, Sequence)
            or isinstance(stages, str)
            or not 0 < len(stages) <= MAX_STAGES
        ):
            raise ValueError(f'search space: expected one to {MAX_STAGES} stages')
        read = tuple(stage_from_config(stage, i, dimensions) for i, stage in enumerate(stages))
        return cls(read, dimensions)

    @classmethod
    def fixed(cls, spec: SubnetSpec, dimensions: Dimensions) -> SearchSpace:
        """The space whose only member is ``spec``."""
        stages = spec.to_dict()['stages']
        for stage in stages:
            for dimension in dimensions.of_block:
                stage[dimension.name] = [(value,) for value in stage[dimension.name]]
        return cls.from_config(stages, dimensions)

    def to_config(self) -> list[dict]:
        """The form that ``from_config`` reads, one JSON-able mapping a stage; without parts."""
        return [stage_to_config(stage) for stage in split(self.stages, self.parts)[None]]

    def choices(self) -> list[dict]:
        """As ``to_config``, with the stages of the parts behind those of the backbone."""
        return [stage_to_config(stage) for stage in self.stages]

    def with_parts(self, parts: Mapping[str, SearchSpace]) -> SearchSpace:
        """The space of a backbone with those of elastic parts beside it."""
        if not parts:
            return self
        stages = self.stages + tuple(stage for space in parts.values() for stage in space.stages)
        counts = tuple((name, len(space.stages)) for name, space in parts.items())
        dimensions = {name: space.dimensions for name, space in parts.items()}
        return SearchSpace(stages, self.dimensions.with_parts(dimensions), self.parts + counts)

    @property
    def root(self) -> SearchSpace:
        """That of the backbone, without the parts beside it."""
        if not self.parts:
            return self
        stages = split(self.stages, self.parts)[None]
        return SearchSpace(stages, replace(self.dimensions, parts=()))

    def completed(self, spec: SubnetSpec) -> SubnetSpec:
        """An architecture of the backbone alone with the largest parts; any other as it is."""
        if spec.parts or not self.parts:
            return spec
        return self._spec(spec.stages + self.largest().stages[len(spec.stages) :])

    def _spec(self, stages: Iterable[Any]) -> SubnetSpec:
        return SubnetSpec(tuple(stages), self.parts)

    def read(self, data: Mapping) -> SubnetSpec:
        """Reads an architecture of this space.

        Raises:
            ValueError: see ``Dimensions.read`` and ``check``.
        """
        spec = self.dimensions.read(data)
        self.check(spec)
        return spec

    def check(self, spec: SubnetSpec) -> None:
        """Raises ValueError, naming the first offending choice, for a spec outside the space."""
        if spec.parts != self.parts:
            raise ValueError(
                f'architecture: its parts are {list(dict(spec.parts))}, those of the space '
                f'{list(dict(self.parts))}'
            )
        if len(spec.stages) != len(self.stages):
            raise ValueError(
                f'architecture: {len(spec.stages)} stages, the space has {len(self.stages)}'
            )
        for i, (stage, space) in enumerate(zip(spec.stages, self.stages)):
            space.check(stage, f'architecture, stage {i}')

    def check_part_of(self, whole: SearchSpace, called: str) -> None:
        """Raises ValueError, naming the first choice that ``whole`` does not have.

        Args:
            whole: of the same dimensions.
            called: what the error calls the whole.
        """
        if len(self.stages) != len(whole.stages):
            raise ValueError(f'{len(self.stages)} stages, {called} has {len(whole.stages)}')
        for i, (ours, theirs) in enumerate(zip(self.stages, whole.stages)):
            ours.check_part_of(theirs, f'stage {i}', called)

    def sample(self, rng: random.Random) -> SubnetSpec:
        """A spec with every choice sampled uniformly."""
        return self._spec(stage.sample(rng) for stage in self.stages)

    def largest(self, share: int = -1) -> SubnetSpec:
        """The spec of the largest sizes, with the largest (-1) or smallest (0) share ratios."""
        return self._spec(stage.extreme(-1, share) for stage in self.stages)

    def smallest(self, share: int = -1) -> SubnetSpec:
        """The spec of the smallest sizes, with the largest (-1) or smallest (0) share ratios."""
        return self._spec(stage.extreme(0, share) for stage in self.stages)

    def share_ratios(self) -> set[float]:
        """Every share ratio that a block may have."""
        return {
            ratio
            for stage in self.stages
            for block in stage.blocks
            for dimension in block.dimensions
            if dimension.is_ratio
            for ratio in block.named[dimension.name]
        }

    def resample_ratios(self, spec: SubnetSpec, rng: random.Random) -> SubnetSpec:
        """The same sizes with every share ratio sampled anew."""
        pairs = zip(spec.stages, self.stages)
        return self._spec(space.resample_ratios(stage, rng) for stage, space in pairs)

    def sandwich(self, rng: random.Random, num_random: int = 2) -> list[SubnetSpec]:
        """The specs of one training step: smallest, ``num_random`` sampled ones, largest.

        Share ratios are sampled at random for all of them. The largest comes last, so that every
        shared weight has a gradient in the last backward pass.
        """
        specs = [self.smallest()]
        specs += [self.sample(rng) for _ in range(num_random)]
        specs.append(self.largest())
        # A space with a single architecture has nothing to alternate between.
        sizes_vary = self.smallest() != self.largest()
        return [self.resample_ratios(spec, rng) for spec in (specs if sizes_vary else specs[-1:])]

    def mutate(
        self,
        spec: SubnetSpec,
        rng: random.Random,
        block_prob: float = 0.1,
        stage_prob: float = 0.4,
    ) -> SubnetSpec:
        """Samples anew each block with ``block_prob``, each size of a stage and its depth with
        ``stage_prob``."""
        pairs, probs = zip(spec.stages, self.stages), (block_prob, stage_prob)
        return self._spec(space.mutate(stage, rng, *probs) for stage, space in pairs)

    def crossover(self, a: SubnetSpec, b: SubnetSpec, rng: random.Random) -> SubnetSpec:
        """Takes each stage's sizes and depth, and each block, from one of two parents."""
        stages = zip(a.stages, b.stages, self.stages)
        return self._spec(space.crossover(x, y, rng) for x, y, space in stages)

    def check_joint(self, joint: JointSpec, tasks: tuple[str, ...]) -> None:
        """Raises ValueError unless the joint spec has exactly ``tasks``, each in the space."""
        check_joint(joint, dict.fromkeys(tasks, self))


def check_joint(joint: JointSpec, spaces: Mapping[str, SearchSpace]) -> None:
    """Raises ValueError unless a joint spec has just these tasks, each in its space."""
    joint.check_tasks(tuple(spaces))
    for task, spec in joint.items():
        try:
            spaces[task].check(spec)
        except ValueError as error:
            raise ValueError(f'task {task!r}: {error}') from None
