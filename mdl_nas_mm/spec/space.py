"""The search space: the choices for every dimension of an architecture."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .published import SPACES
from .spec import MAX_STAGES, JointSpec, StageSpec, SubnetSpec
from .stage_space import StageSpace, stage_from_config, stage_to_config


@dataclass(frozen=True)
class SearchSpace:
    """The product of all choices, with the draws that training and search make from it.

    All draws take an explicit ``random.Random``, so that the same state gives the same spec.
    """

    stages: tuple[StageSpace, ...]

    @classmethod
    def from_config(cls, config: str | Mapping | Sequence[Mapping]) -> SearchSpace:
        """Builds a space from a name in ``SPACES``, one mapping (ViT), or one a stage (Swin).

        A stage is ``dict(embed_dim=, depth=, num_heads=, mlp_ratio=, share_ratio=)``. Every
        choice is a tuple; a bare number is a single choice. A list of tuples gives each block
        its own choices. ``attn_share_ratio`` and ``ffn_share_ratio`` in place of ``share_ratio``
        make the two ratios of a block independent. Without any, everything is shared.
        ``per_stage=True`` makes all blocks of a stage alike.

        Raises:
            ValueError: the name or a key is unknown, a key is missing, a choice is empty or not
                positive, or a share ratio lies outside [0, 1].
        """
        if isinstance(config, str):
            if config not in SPACES:
                raise ValueError(f'search space {config!r} is not one of {sorted(SPACES)}')
            config = SPACES[config]
        stages = [config] if isinstance(config, Mapping) else config
        if not isinstance(stages, Sequence) or not 0 < len(stages) <= MAX_STAGES:
            raise ValueError(f'search space: expected one to {MAX_STAGES} stages')
        return cls(tuple(stage_from_config(stage, i) for i, stage in enumerate(stages)))

    @classmethod
    def fixed(cls, spec: SubnetSpec) -> SearchSpace:
        """The space whose only member is ``spec``."""
        return cls.from_config(
            [
                dict(
                    embed_dim=stage.embed_dim,
                    depth=len(stage.blocks),
                    num_heads=[(block.num_heads,) for block in stage.blocks],
                    mlp_ratio=[(block.mlp_ratio,) for block in stage.blocks],
                    attn_share_ratio=[(block.attn_share_ratio,) for block in stage.blocks],
                    ffn_share_ratio=[(block.ffn_share_ratio,) for block in stage.blocks],
                )
                for stage in spec.stages
            ]
        )

    def to_config(self) -> list[dict]:
        """The form that ``from_config`` reads, one JSON-able mapping a stage."""
        return [stage_to_config(stage) for stage in self.stages]

    @property
    def max_embed_dim(self) -> int:
        """The widest embedding of the last stage."""
        return self.stages[-1].embed_dim[-1]

    def check(self, spec: SubnetSpec) -> None:
        """Raises ValueError, naming the first offending choice, for a spec outside the space."""
        if len(spec.stages) != len(self.stages):
            raise ValueError(
                f'architecture: {len(spec.stages)} stages, the space has {len(self.stages)}'
            )
        for i, (stage, space) in enumerate(zip(spec.stages, self.stages)):
            space.check(stage, f'architecture, stage {i}')

    def sample(self, rng: random.Random) -> SubnetSpec:
        """A spec with every choice drawn uniformly."""
        return SubnetSpec(
            tuple(
                StageSpec(
                    rng.choice(stage.embed_dim), stage.sample_blocks(rng.choice(stage.depth), rng)
                )
                for stage in self.stages
            )
        )

    def largest(self, share: int = -1) -> SubnetSpec:
        """The spec of the largest sizes, with the largest (-1) or smallest (0) share ratios."""
        return self._extreme(-1, share)

    def smallest(self, share: int = -1) -> SubnetSpec:
        """The spec of the smallest sizes, with the largest (-1) or smallest (0) share ratios."""
        return self._extreme(0, share)

    def _extreme(self, size: int, share: int) -> SubnetSpec:
        return SubnetSpec(
            tuple(
                StageSpec(
                    stage.embed_dim[size],
                    tuple(b.extreme(size, share) for b in stage.blocks[: stage.depth[size]]),
                )
                for stage in self.stages
            )
        )

    def redraw_ratios(self, spec: SubnetSpec, rng: random.Random) -> SubnetSpec:
        """The same sizes with every share ratio drawn anew."""
        return SubnetSpec(
            tuple(
                StageSpec(stage.embed_dim, space.redraw_ratios(stage.blocks, rng))
                for stage, space in zip(spec.stages, self.stages)
            )
        )

    def sandwich(self, rng: random.Random, num_random: int = 2) -> list[SubnetSpec]:
        """The specs of one training step: smallest, ``num_random`` drawn ones, largest.

        Share ratios are drawn at random for all of them. The largest comes last, so that every
        shared weight has a gradient in the last backward pass.
        """
        specs = [self.smallest()]
        specs += [self.sample(rng) for _ in range(num_random)]
        specs.append(self.largest())
        # A space with a single architecture has nothing to alternate between.
        sizes_vary = self.smallest() != self.largest()
        return [self.redraw_ratios(spec, rng) for spec in (specs if sizes_vary else specs[-1:])]

    def mutate(
        self,
        spec: SubnetSpec,
        rng: random.Random,
        block_prob: float = 0.1,
        stage_prob: float = 0.4,
    ) -> SubnetSpec:
        """Draws anew each block with ``block_prob``, each stage's depth, and its width, with
        ``stage_prob``."""
        stages = []
        for stage, space in zip(spec.stages, self.stages):
            redraw_width, redraw_depth = rng.random() < stage_prob, rng.random() < stage_prob
            embed_dim = rng.choice(space.embed_dim) if redraw_width else stage.embed_dim
            depth = rng.choice(space.depth) if redraw_depth else len(stage.blocks)
            blocks = space.mutate_blocks(stage.blocks, depth, rng, block_prob)
            stages.append(StageSpec(embed_dim, blocks))
        return SubnetSpec(tuple(stages))

    def crossover(self, a: SubnetSpec, b: SubnetSpec, rng: random.Random) -> SubnetSpec:
        """Takes each stage's width and depth, and each block, from one of two parents."""
        stages = []
        for first, second, space in zip(a.stages, b.stages, self.stages):
            embed_dim = rng.choice((first.embed_dim, second.embed_dim))
            depth = rng.choice((len(first.blocks), len(second.blocks)))
            blocks = space.cross_blocks((first.blocks, second.blocks), depth, rng)
            stages.append(StageSpec(embed_dim, blocks))
        return SubnetSpec(tuple(stages))

    def check_joint(self, joint: JointSpec, tasks: tuple[str, ...]) -> None:
        """Raises ValueError unless the joint spec has exactly ``tasks``, each in the space."""
        joint.check_tasks(tasks)
        for task, spec in joint.items():
            try:
                self.check(spec)
            except ValueError as error:
                raise ValueError(f'task {task!r}: {error}') from None
