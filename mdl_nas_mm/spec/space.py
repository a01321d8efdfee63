"""The search space: the choices for every dimension of an architecture."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .spec import BlockSpec, JointSpec, StageSpec, SubnetSpec, check_ratio, hidden_features


@dataclass(frozen=True)
class BlockSpace:
    """Choices of one block, each an ascending tuple.

    ``ffn_share_ratio=None`` ties it to ``attn_share_ratio``: one ratio a block, as in the
    paper's ViT space (Appendix B); its Swin space has two.
    """

    num_heads: tuple[int, ...]
    mlp_ratio: tuple[float, ...]
    attn_share_ratio: tuple[float, ...]
    ffn_share_ratio: tuple[float, ...] | None = None

    def sample(self, rng: random.Random) -> BlockSpec:
        """A block drawn uniformly."""
        sizes = (rng.choice(self.num_heads), rng.choice(self.mlp_ratio))
        return BlockSpec(*sizes, *self.sample_ratios(rng))

    def sample_ratios(self, rng: random.Random) -> tuple[float, float]:
        """Share ratios (attention, feed-forward) drawn uniformly."""
        attn = rng.choice(self.attn_share_ratio)
        return attn, attn if self.ffn_share_ratio is None else rng.choice(self.ffn_share_ratio)

    def extreme(self, size: int, ratio: int) -> BlockSpec:
        """The block of the first (0) or last (-1) choices of its sizes and of its share ratios."""
        attn = self.attn_share_ratio[ratio]
        ffn = attn if self.ffn_share_ratio is None else self.ffn_share_ratio[ratio]
        return BlockSpec(self.num_heads[size], self.mlp_ratio[size], attn, ffn)

    def check(self, block: BlockSpec, where: str) -> None:
        """Raises ValueError, naming ``where``, for a block outside the choices."""
        ffn_choices = self.ffn_share_ratio or (block.attn_share_ratio,)
        _check(block.num_heads, self.num_heads, f'{where}, num_heads')
        _check(block.mlp_ratio, self.mlp_ratio, f'{where}, mlp_ratio')
        _check(block.attn_share_ratio, self.attn_share_ratio, f'{where}, attn_share_ratio')
        _check(block.ffn_share_ratio, ffn_choices, f'{where}, ffn_share_ratio')


@dataclass(frozen=True)
class StageSpace:
    """Choices of one stage; ``blocks`` has as many entries as the deepest choice."""

    embed_dim: tuple[int, ...]
    depth: tuple[int, ...]
    blocks: tuple[BlockSpace, ...]

    def max_hidden(self, block: int) -> int:
        """The widest feed-forward hidden layer of a block."""
        return hidden_features(self.embed_dim[-1], self.blocks[block].mlp_ratio[-1])


@dataclass(frozen=True)
class SearchSpace:
    """The product of all choices, with the draws that training and search make from it.

    All draws take an explicit ``random.Random``, so that the same state gives the same spec.
    """

    stages: tuple[StageSpace, ...]

    @classmethod
    def from_config(cls, config: Mapping | Sequence[Mapping]) -> SearchSpace:
        """Builds a space from one mapping (ViT) or one a stage (Swin).

        A stage is ``dict(embed_dim=, depth=, num_heads=, mlp_ratio=, share_ratio=)``. Every
        choice is a tuple; a bare number is a single choice. A list of tuples gives each block
        its own choices. ``attn_share_ratio`` and ``ffn_share_ratio`` in place of ``share_ratio``
        make the two ratios of a block independent. Without any, everything is shared.

        Raises:
            ValueError: a key is missing or unknown, a choice is empty or not positive, or a
                share ratio lies outside [0, 1].
        """
        stages = [config] if isinstance(config, Mapping) else config
        return cls(tuple(_stage_from_config(stage, i) for i, stage in enumerate(stages)))

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
        return [_stage_to_config(stage) for stage in self.stages]

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
            _check(stage.embed_dim, space.embed_dim, f'architecture, stage {i}, embed_dim')
            _check(len(stage.blocks), space.depth, f'architecture, stage {i}, depth')
            for j, (block, choices) in enumerate(zip(stage.blocks, space.blocks)):
                choices.check(block, f'architecture, stage {i}, block {j}')

    def sample(self, rng: random.Random) -> SubnetSpec:
        """A spec with every choice drawn uniformly."""
        return SubnetSpec(
            tuple(
                StageSpec(
                    rng.choice(stage.embed_dim),
                    tuple(block.sample(rng) for block in stage.blocks[: rng.choice(stage.depth)]),
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
        stages = []
        for stage, space in zip(spec.stages, self.stages):
            blocks = []
            for block, choices in zip(stage.blocks, space.blocks):
                attn, ffn = choices.sample_ratios(rng)
                blocks.append(replace(block, attn_share_ratio=attn, ffn_share_ratio=ffn))
            stages.append(StageSpec(stage.embed_dim, tuple(blocks)))
        return SubnetSpec(tuple(stages))

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
            blocks = []
            for i, choices in enumerate(space.blocks[:depth]):
                keep = i < len(stage.blocks) and rng.random() >= block_prob
                blocks.append(stage.blocks[i] if keep else choices.sample(rng))
            stages.append(StageSpec(embed_dim, tuple(blocks)))
        return SubnetSpec(tuple(stages))

    def crossover(self, a: SubnetSpec, b: SubnetSpec, rng: random.Random) -> SubnetSpec:
        """Takes each stage's width and depth, and each block, from one of two parents."""
        stages = []
        for first, second in zip(a.stages, b.stages):
            embed_dim = rng.choice((first.embed_dim, second.embed_dim))
            depth = rng.choice((len(first.blocks), len(second.blocks)))
            blocks = []
            for i in range(depth):
                owners = [parent.blocks[i] for parent in (first, second) if i < len(parent.blocks)]
                blocks.append(rng.choice(owners))
            stages.append(StageSpec(embed_dim, tuple(blocks)))
        return SubnetSpec(tuple(stages))

    def check_joint(self, joint: JointSpec, tasks: tuple[str, ...]) -> None:
        """Raises ValueError unless the joint spec has exactly ``tasks``, each in the space."""
        joint.check_tasks(tasks)
        for task, spec in joint.items():
            try:
                self.check(spec)
            except ValueError as error:
                raise ValueError(f'task {task!r}: {error}') from None


_REQUIRED = ('embed_dim', 'depth', 'num_heads', 'mlp_ratio')
_RATIOS = ('share_ratio', 'attn_share_ratio', 'ffn_share_ratio')


def _stage_from_config(config: Mapping, index: int) -> StageSpace:
    where = f'search space, stage {index}'
    for key in _REQUIRED:
        if key not in config:
            raise ValueError(f'{where}: {key!r} is missing')
    for key in config:
        if key not in _REQUIRED + _RATIOS:
            raise ValueError(f'{where}: unknown key {key!r}, expected {_REQUIRED + _RATIOS}')
    depth = _choices(config['depth'], f'{where}, depth', whole=True)
    attn = config.get('attn_share_ratio', config.get('share_ratio', 1.0))
    columns = [
        _block_choices(config['num_heads'], depth[-1], f'{where}, num_heads', whole=True),
        _block_choices(config['mlp_ratio'], depth[-1], f'{where}, mlp_ratio'),
        _block_choices(attn, depth[-1], f'{where}, share ratio', positive=False),
    ]
    if 'ffn_share_ratio' in config:
        ratio = config['ffn_share_ratio']
        columns.append(_block_choices(ratio, depth[-1], f'{where}, share ratio', positive=False))
    for choices in columns[2:]:
        for ratio in (r for block in choices for r in block):
            check_ratio(ratio, where)
    blocks = tuple(BlockSpace(*choices) for choices in zip(*columns))
    widths = _choices(config['embed_dim'], f'{where}, embed_dim', whole=True)
    return StageSpace(widths, depth, blocks)


def _stage_to_config(stage: StageSpace) -> dict:
    config = dict(
        embed_dim=list(stage.embed_dim),
        depth=list(stage.depth),
        num_heads=[list(block.num_heads) for block in stage.blocks],
        mlp_ratio=[list(block.mlp_ratio) for block in stage.blocks],
        attn_share_ratio=[list(block.attn_share_ratio) for block in stage.blocks],
    )
    if stage.blocks[0].ffn_share_ratio is not None:
        config['ffn_share_ratio'] = [list(block.ffn_share_ratio) for block in stage.blocks]
    return config


def _choices(value, where: str, positive: bool = True, whole: bool = False) -> tuple:
    values = (value,) if isinstance(value, (int, float)) else tuple(value)
    if not values:
        raise ValueError(f'{where}: no choice given')
    if positive and min(values) <= 0:
        raise ValueError(f'{where}: {min(values)} is not positive')
    if whole and any(value != int(value) for value in values):
        raise ValueError(f'{where}: {values} are not all whole numbers')
    return tuple(sorted(set(values)))


def _block_choices(
    value, depth: int, where: str, positive: bool = True, whole: bool = False
) -> list[tuple]:
    per_block = isinstance(value, Sequence) and any(isinstance(v, Sequence) for v in value)
    if not per_block:
        return [_choices(value, where, positive, whole)] * depth
    if len(value) != depth:
        raise ValueError(f'{where}: choices for {len(value)} blocks, the deepest has {depth}')
    return [_choices(v, where, positive, whole) for v in value]


def _check(value, choices: tuple, where: str) -> None:
    if value not in choices:
        raise ValueError(f'{where}: {value} is not one of {choices}')
