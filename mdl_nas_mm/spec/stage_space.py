"""The choices of one block and of one stage."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .choices import check_choice, parse_block_choices, parse_choices
from .spec import MAX_BLOCKS, BlockSpec, StageSpec, check_ratio, hidden_features


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
        check_choice(block.num_heads, self.num_heads, f'{where}, num_heads')
        check_choice(block.mlp_ratio, self.mlp_ratio, f'{where}, mlp_ratio')
        check_choice(block.attn_share_ratio, self.attn_share_ratio, f'{where}, attn_share_ratio')
        check_choice(block.ffn_share_ratio, ffn_choices, f'{where}, ffn_share_ratio')


@dataclass(frozen=True)
class StageSpace:
    """Choices of one stage.

    Attributes:
        blocks: as many as the deepest choice has.
        per_stage: one draw holds for all blocks of the stage, which then are alike.
    """

    embed_dim: tuple[int, ...]
    depth: tuple[int, ...]
    blocks: tuple[BlockSpace, ...]
    per_stage: bool = False

    def sample_blocks(self, depth: int, rng: random.Random) -> tuple[BlockSpec, ...]:
        """The first ``depth`` blocks drawn uniformly."""
        if self.per_stage:
            return (self.blocks[0].sample(rng),) * depth
        return tuple(block.sample(rng) for block in self.blocks[:depth])

    def redraw_ratios(
        self, blocks: tuple[BlockSpec, ...], rng: random.Random
    ) -> tuple[BlockSpec, ...]:
        """The same blocks with every share ratio drawn anew."""
        if self.per_stage:
            ratios = [self.blocks[0].sample_ratios(rng)] * len(blocks)
        else:
            ratios = [choices.sample_ratios(rng) for choices in self.blocks[: len(blocks)]]
        return tuple(
            replace(block, attn_share_ratio=attn, ffn_share_ratio=ffn)
            for block, (attn, ffn) in zip(blocks, ratios)
        )

    def mutate_blocks(
        self, blocks: tuple[BlockSpec, ...], depth: int, rng: random.Random, prob: float
    ) -> tuple[BlockSpec, ...]:
        """``depth`` blocks; each of the given ones is kept unless drawn anew with ``prob``."""
        if self.per_stage:
            keep = rng.random() >= prob
            return blocks[:1] * depth if keep else self.sample_blocks(depth, rng)
        mutated = []
        for i, choices in enumerate(self.blocks[:depth]):
            keep = i < len(blocks) and rng.random() >= prob
            mutated.append(blocks[i] if keep else choices.sample(rng))
        return tuple(mutated)

    def cross_blocks(
        self, parents: Sequence[tuple[BlockSpec, ...]], depth: int, rng: random.Random
    ) -> tuple[BlockSpec, ...]:
        """``depth`` blocks, each from a parent that has it."""
        if self.per_stage:
            return rng.choice(parents)[:1] * depth
        return tuple(
            rng.choice([blocks[i] for blocks in parents if i < len(blocks)]) for i in range(depth)
        )

    def check(self, stage: StageSpec, where: str) -> None:
        """Raises ValueError, naming ``where``, for a stage outside the choices."""
        check_choice(stage.embed_dim, self.embed_dim, f'{where}, embed_dim')
        check_choice(len(stage.blocks), self.depth, f'{where}, depth')
        for i, (block, choices) in enumerate(zip(stage.blocks, self.blocks)):
            choices.check(block, f'{where}, block {i}')
        if self.per_stage and len(set(stage.blocks)) > 1:
            raise ValueError(f'{where}: its blocks differ, the space has one choice per stage')

    def max_hidden(self, block: int) -> int:
        """The widest feed-forward hidden layer of a block."""
        return hidden_features(self.embed_dim[-1], self.blocks[block].mlp_ratio[-1])


_REQUIRED = ('embed_dim', 'depth', 'num_heads', 'mlp_ratio')
_OPTIONAL = ('share_ratio', 'attn_share_ratio', 'ffn_share_ratio', 'per_stage')


def stage_from_config(config: Mapping, index: int) -> StageSpace:
    """Reads one stage; see ``SearchSpace.from_config``."""
    where = f'search space, stage {index}'
    if not isinstance(config, Mapping):
        raise ValueError(f'{where}: expected a dict, not {type(config).__name__}')
    for key in _REQUIRED:
        if key not in config:
            raise ValueError(f'{where}: {key!r} is missing')
    for key in config:
        if key not in _REQUIRED + _OPTIONAL:
            raise ValueError(f'{where}: unknown key {key!r}, expected {_REQUIRED + _OPTIONAL}')
    depth = parse_choices(config['depth'], f'{where}, depth', whole=True)
    if depth[-1] > MAX_BLOCKS:
        raise ValueError(f'{where}: depth {depth[-1]} is no number of at most {MAX_BLOCKS} blocks')
    attn = config.get('attn_share_ratio', config.get('share_ratio', 1.0))
    columns = [
        parse_block_choices(config['num_heads'], depth[-1], f'{where}, num_heads', whole=True),
        parse_block_choices(config['mlp_ratio'], depth[-1], f'{where}, mlp_ratio'),
        parse_block_choices(attn, depth[-1], f'{where}, share ratio', positive=False),
    ]
    if 'ffn_share_ratio' in config:
        ratio = config['ffn_share_ratio']
        columns.append(
            parse_block_choices(ratio, depth[-1], f'{where}, share ratio', positive=False)
        )
    for choices in columns[2:]:
        for ratio in (r for block in choices for r in block):
            check_ratio(ratio, where)
    blocks = tuple(BlockSpace(*choices) for choices in zip(*columns))
    widths = parse_choices(config['embed_dim'], f'{where}, embed_dim', whole=True)
    per_stage = config.get('per_stage', False)
    if per_stage and len(set(blocks)) > 1:
        raise ValueError(f'{where}: per_stage=True, but its blocks have different choices')
    return StageSpace(widths, depth, blocks, per_stage)


def stage_to_config(stage: StageSpace) -> dict:
    """The JSON-able form that ``stage_from_config`` reads."""
    config = dict(
        embed_dim=list(stage.embed_dim),
        depth=list(stage.depth),
        num_heads=[list(block.num_heads) for block in stage.blocks],
        mlp_ratio=[list(block.mlp_ratio) for block in stage.blocks],
        attn_share_ratio=[list(block.attn_share_ratio) for block in stage.blocks],
    )
    if stage.blocks[0].ffn_share_ratio is not None:
        config['ffn_share_ratio'] = [list(block.ffn_share_ratio) for block in stage.blocks]
    if stage.per_stage:
        config['per_stage'] = True
    return config
