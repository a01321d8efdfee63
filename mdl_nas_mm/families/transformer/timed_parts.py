"""What the latency of a transformer is made of; see ``TimedParts``."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import product

from mdl_nas_mm.spec import SearchSpace, SubnetSpec
from mdl_nas_mm.spec.block_space import BlockSpace
from mdl_nas_mm.spec.stage_space import StageSpace

from .dimensions import BlockSpec, StageSpec


@dataclass(frozen=True)
class TimedPart:
    """What is measured at once.

    Attributes:
        kind: ``stem``, all that is not in blocks of a ViT, or a Swin's patch embedding;
            ``block``; ``end``, the norm of a Swin stage's output and the merging behind it.
        attention: of a block: over the ``whole`` image, in ``windows``, or in
            ``shifted windows``.
        next_dim: width of the next stage, behind an ``end``.
    """

    kind: str
    stage: int
    embed_dim: int
    num_heads: int | None = None
    mlp_ratio: float | None = None
    attention: str | None = None
    next_dim: int | None = None

    def __str__(self) -> str:
        values = {key: value for key, value in asdict(self).items() if value is not None}
        return f'{values.pop("kind")} ({", ".join(f"{k} {v}" for k, v in values.items())})'


@dataclass(frozen=True)
class TransformerParts:
    """The parts of transformers.

    Attributes:
        attention: what the block of a number attends to in a stage of a depth.
        has_ends: whether something is timed behind each stage.
    """

    attention: Callable[[int, int], str]
    has_ends: bool
    kind: type[TimedPart] = TimedPart

    def parts(self, spec: SubnetSpec) -> list[TimedPart]:
        """The parts of an architecture, in their order."""
        parts = [TimedPart('stem', 0, spec.stages[0].embed_dim)]
        for s, stage in enumerate(spec.stages):
            for i, block in enumerate(stage.blocks):
                attention = self.attention(i, len(stage.blocks))
                sizes = (stage.embed_dim, block.num_heads, block.mlp_ratio)
                parts.append(TimedPart('block', s, *sizes, attention))
            if self.has_ends:
                after = spec.stages[s + 1].embed_dim if s + 1 < len(spec.stages) else None
                parts.append(TimedPart('end', s, stage.embed_dim, next_dim=after))
        return parts

    def all_parts(self, space: SearchSpace) -> list[TimedPart]:
        """Every part that any architecture of a space has, once."""
        widths = [stage.named['embed_dim'] for stage in space.stages]
        found = dict.fromkeys(TimedPart('stem', 0, dim) for dim in widths[0])
        for s, stage in enumerate(space.stages):
            for depth, dim in product(stage.depth, widths[s]):
                for i, block in enumerate(stage.blocks[:depth]):
                    for sizes in _sizes(block):
                        heads, ratio = sizes.num_heads, sizes.mlp_ratio
                        attention = self.attention(i, depth)
                        found[TimedPart('block', s, dim, heads, ratio, attention)] = None
            if self.has_ends:
                after = (None,) if s + 1 == len(widths) else widths[s + 1]
                for dim, next_dim in product(widths[s], after):
                    found[TimedPart('end', s, dim, next_dim=next_dim)] = None
        return list(found)

    def covering_specs(self, space: SearchSpace, rng: random.Random) -> Iterator[SubnetSpec]:
        """Few architectures that have every part of a space between them."""
        missing = set(self.all_parts(space))
        while missing:
            stages: list[StageSpec] = []
            for stage in space.stages:
                options = [
                    self._filled(len(stages), stage, dim, depth, missing, rng)
                    for dim, depth in product(stage.named['embed_dim'], stage.depth)
                ]
                # At random among equals, so that every pair of widths comes in the end.
                rng.shuffle(options)
                gains = [
                    len(missing.intersection(self.parts(SubnetSpec((*stages, option)))))
                    for option in options
                ]
                stages.append(options[gains.index(max(gains))])
            spec = SubnetSpec(tuple(stages))
            if not missing.isdisjoint(self.parts(spec)):
                missing.difference_update(self.parts(spec))
                yield spec

    def _filled(
        self,
        index: int,
        stage: StageSpace,
        dim: int,
        depth: int,
        missing: set[TimedPart],
        rng: random.Random,
    ) -> StageSpec:
        """A stage of a width and a depth, whose blocks are missing ones as far as possible."""
        blocks: list[BlockSpec] = []
        found: set[TimedPart] = set()
        for i, choices in enumerate(stage.blocks[:depth]):
            options = _sizes(choices)
            rng.shuffle(options)
            attention = self.attention(i, depth)
            parts = [
                TimedPart('block', index, dim, b.num_heads, b.mlp_ratio, attention) for b in options
            ]
            new = [part in missing and part not in found for part in parts]
            # The first missing one, else the first.
            place = max(range(len(options)), key=new.__getitem__)
            found.add(parts[place])
            blocks.append(options[place])
        return StageSpec(dim, (blocks[0],) * depth if stage.per_stage else tuple(blocks))


def _sizes(choices: BlockSpace) -> list[BlockSpec]:
    """A block of every combination of sizes."""
    return choices.with_every_size(choices.extreme(-1, -1))
