"""The choices of one stage, for the dimensions that a family declares."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from .block_space import BlockSpace
from .choices import Choices, check_choice, check_contained, parse_block_choices, parse_choices
from .dimensions import Dimension, Dimensions, absent_stage, check_ratio, declared
from .spec import MAX_BLOCKS


@dataclass(frozen=True)
class StageSpace:
    """Choices of one stage.

    Attributes:
        kind: the family's class of a stage.
        sizes: an ascending tuple for each of its own dimensions.
        blocks: as many as the deepest choice has.
        per_stage: one sample holds for all blocks of the stage, which then are alike.
    """

    kind: type
    sizes: tuple[Choices, ...]
    depth: tuple[int, ...]
    blocks: tuple[BlockSpace, ...]
    per_stage: bool = False

    @cached_property
    def named(self) -> dict[str, Choices]:
        """Size of the stage, and ``depth`` -> its choices."""
        return {**dict(zip(self._names, self.sizes)), 'depth': self.depth}

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(dimension.name for dimension in declared(self.kind))

    @cached_property
    def _absent(self) -> Any:
        return absent_stage(self.kind)

    def sample(self, rng: random.Random) -> Any:
        """A stage sampled uniformly."""
        sizes = [rng.choice(choices) for choices in self.sizes]
        return self.kind(*sizes, self.sample_blocks(rng.choice(self.depth), rng))

    def extreme(self, size: int, ratio: int) -> Any:
        """The stage of the first (0) or last (-1) choices of its sizes and of its share ratios."""
        blocks = tuple(b.extreme(size, ratio) for b in self.blocks[: self.depth[size]])
        return self.kind(*(choices[size] for choices in self.sizes), blocks)

    def sizes_of(self, stage: Any) -> tuple:
        """The sizes of a stage beside its depth."""
        return tuple([getattr(stage, name) for name in self._names])

    def sample_blocks(self, depth: int, rng: random.Random) -> tuple:
        """The first ``depth`` blocks sampled uniformly."""
        if self.per_stage:
            return (self.blocks[0].sample(rng),) * depth
        return tuple(block.sample(rng) for block in self.blocks[:depth])

    def resample_ratios(self, stage: Any, rng: random.Random) -> Any:
        """The same stage with every share ratio sampled anew."""
        if self.per_stage:
            ratios = [self.blocks[0].sample_ratios(rng)] * len(stage.blocks)
        else:
            ratios = [choices.sample_ratios(rng) for choices in self.blocks[: len(stage.blocks)]]
        blocks = tuple(replace(block, **own) for block, own in zip(stage.blocks, ratios))
        return replace(stage, blocks=blocks)

    def mutate(self, stage: Any, rng: random.Random, block_prob: float, stage_prob: float) -> Any:
        """Samples anew each block with ``block_prob``, each size and the depth with
        ``stage_prob``."""
        present, choices = (*self.sizes_of(stage), len(stage.blocks)), (*self.sizes, self.depth)
        anew = [rng.random() < stage_prob for _ in present]
        *sizes, depth = [
            rng.choice(options) if is_new else value
            for value, options, is_new in zip(present, choices, anew)
        ]
        return self.kind(*sizes, self._mutated(stage.blocks, depth, rng, block_prob))

    def _mutated(self, blocks: tuple, depth: int, rng: random.Random, prob: float) -> tuple:
        """``depth`` blocks; each of the given ones stays unless sampled anew with ``prob``."""
        if self.per_stage:
            stays = rng.random() >= prob
            return blocks[:1] * depth if stays else self.sample_blocks(depth, rng)
        mutated = []
        for i, choices in enumerate(self.blocks[:depth]):
            stays = i < len(blocks) and rng.random() >= prob
            mutated.append(blocks[i] if stays else choices.sample(rng))
        return tuple(mutated)

    def crossover(self, first: Any, second: Any, rng: random.Random) -> Any:
        """Takes each size, the depth, and each block from one of two parents that has it."""
        pairs = zip(self.sizes_of(first), self.sizes_of(second))
        sizes = [rng.choice(pair) for pair in pairs]
        parents = first.blocks, second.blocks
        depth = rng.choice(tuple(map(len, parents)))
        if self.per_stage:
            return self.kind(*sizes, rng.choice(parents)[:1] * depth)
        blocks = tuple(
            rng.choice([blocks[i] for blocks in parents if i < len(blocks)]) for i in range(depth)
        )
        return self.kind(*sizes, blocks)

    def check(self, stage: Any, where: str) -> None:
        """Raises ValueError, naming ``where``, for a stage outside the choices.

        A stage that an architecture may lack, and lacks, is never outside.
        """
        if not stage.blocks and stage == self._absent:
            return
        if not self.blocks:
            raise ValueError(f'{where}: the space does not have it')
        # Names are put together for an error alone: every forward pass checks.
        for name, choices in zip(self._names, self.sizes):
            if getattr(stage, name) not in choices:
                check_choice(getattr(stage, name), choices, f'{where}, {name}')
        if len(stage.blocks) not in self.depth:
            check_choice(len(stage.blocks), self.depth, f'{where}, depth')
        for i, (block, choices) in enumerate(zip(stage.blocks, self.blocks)):
            if not choices.has(block):
                choices.check(block, f'{where}, block {i}')
        if self.per_stage and len(set(stage.blocks)) > 1:
            raise ValueError(f'{where}: its blocks differ, the space has one choice per stage')

    def check_part_of(self, whole: StageSpace, where: str, called: str) -> None:
        """Raises ValueError, naming ``where``, for a choice that the whole does not have."""
        if not self.blocks:
            return
        if not whole.blocks:
            raise ValueError(f'{where}: {called} does not have it')
        if whole.per_stage and not self.per_stage:
            raise ValueError(f'{where}: per_stage=True is missing, which {called} has')
        allowed = whole.named
        for name, choices in self.named.items():
            check_contained(choices, allowed[name], f'{where}, {name}')
        for i, (ours, theirs) in enumerate(zip(self.blocks, whole.blocks)):
            ours.check_part_of(theirs, f'{where}, block {i}', called)


_SHARE = 'share_ratio'


def stage_from_config(config: Mapping, index: int, dimensions: Dimensions) -> StageSpace:
    """Reads one stage; see ``SearchSpace.from_config``."""
    where = f'search space, stage {index}'
    if not isinstance(config, Mapping):
        raise ValueError(f'{where}: expected a dict, not {type(config).__name__}')
    if absent_stage(dimensions.stage) is not None and config.get('depth') in (0, (0,), [0]):
        return StageSpace(dimensions.stage, ((1,),) * len(dimensions.of_stage), (0,), ())
    _check_keys(config, dimensions, where)
    depth = parse_choices(config['depth'], f'{where}, depth', whole=True)
    if depth[-1] > MAX_BLOCKS:
        raise ValueError(f'{where}: depth {depth[-1]} is no number of at most {MAX_BLOCKS} blocks')
    columns = [_column(config, d, depth[-1], where) for d in dimensions.of_block]
    blocks = tuple(BlockSpace(dimensions.block, choices) for choices in zip(*columns))
    sizes = tuple(
        parse_choices(config[d.name], f'{where}, {d.name}', whole=d.whole)
        for d in dimensions.of_stage
    )
    per_stage = config.get('per_stage', False)
    if per_stage and len(set(blocks)) > 1:
        raise ValueError(f'{where}: per_stage=True, but its blocks have different choices')
    return StageSpace(dimensions.stage, sizes, depth, blocks, per_stage)


def _check_keys(config: Mapping, dimensions: Dimensions, where: str) -> None:
    sizes = [d.name for d in dimensions.of_block if not d.is_ratio]
    required = (*(d.name for d in dimensions.of_stage), 'depth', *sizes)
    ratios = [d.name for d in dimensions.of_block if d.is_ratio]
    expected = tuple(dict.fromkeys((*required, _SHARE, *ratios, 'per_stage')))
    for key in required:
        if key not in config:
            raise ValueError(f'{where}: {key!r} is missing')
    for key in config:
        if key not in expected:
            raise ValueError(f'{where}: unknown key {key!r}, expected {expected}')


def _column(config: Mapping, dimension: Dimension, depth: int, where: str) -> list:
    """The choices of a dimension for each block, or None where it is tied to another."""
    name = dimension.name
    if not dimension.is_ratio:
        at = f'{where}, {name}'
        return parse_block_choices(config[name], depth, at, whole=dimension.whole)
    if name not in config and dimension.default is not None:
        return [None] * depth
    value = config.get(name, config.get(_SHARE, 1.0))
    column = parse_block_choices(value, depth, f'{where}, share ratio', positive=False)
    for ratio in (r for choices in column for r in choices):
        check_ratio(ratio, where)
    return column


def stage_to_config(stage: StageSpace) -> dict:
    """The JSON-able form that ``stage_from_config`` reads."""
    config: dict[str, Any] = {name: list(choices) for name, choices in stage.named.items()}
    if not stage.blocks:
        return config
    tied = stage.blocks[0].tied()
    columns = [block.named for block in stage.blocks]
    for name in columns[0]:
        if name not in tied:
            config[name] = [list(column[name]) for column in columns]
    if stage.per_stage:
        config['per_stage'] = True
    return config
