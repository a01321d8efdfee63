"""What the latency of an architecture is made of.

A part's latency does not depend on share ratios, as a stored task's weights are put together
beforehand, nor, nearly, on the parts around it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

from mdl_nas_mm.families.swin.layout import SwinLayout
from mdl_nas_mm.families.vit.layout import global_blocks

from .layout import Layout
from .space import SearchSpace
from .spec import BlockSpec, StageSpec, SubnetSpec
from .stage_space import BlockSpace, StageSpace


@dataclass(frozen=True)
class Part:
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
class Timing:
    """What a backbone's parts are made of and where they run; all that a latency depends on.

    Attributes:
        family: ``ViT`` or ``Swin``.
        shape: the layout's shape, as JSON has it.
        window: side of a ViT's windows in patches, 0 for none.
        input_size: (height, width) in pixels.
        device: such as ``cpu`` or ``cuda``.
        threads: of the CPU.
    """

    family: str
    shape: Mapping[str, Any]
    window: int
    input_size: tuple[int, int]
    batch_size: int
    device: str
    threads: int

    @classmethod
    def of(
        cls,
        layout: Layout,
        input_size: tuple[int, int],
        window: int = 0,
        batch_size: int = 1,
        device: str = 'cpu',
        threads: int = 1,
    ) -> Timing:
        """The timing of a backbone with this layout."""
        shape = json.loads(json.dumps(asdict(layout.shape)))
        family = 'Swin' if isinstance(layout, SwinLayout) else 'ViT'
        return cls(family, shape, window, tuple(input_size), batch_size, device, threads)

    def parts(self, spec: SubnetSpec) -> list[Part]:
        """The parts of an architecture, in their order."""
        parts = [Part('stem', 0, spec.stages[0].embed_dim)]
        for s, stage in enumerate(spec.stages):
            for i, block in enumerate(stage.blocks):
                attention = self.attention(i, len(stage.blocks))
                sizes = (stage.embed_dim, block.num_heads, block.mlp_ratio)
                parts.append(Part('block', s, *sizes, attention))
            if self.family == 'Swin':
                after = spec.stages[s + 1].embed_dim if s + 1 < len(spec.stages) else None
                parts.append(Part('end', s, stage.embed_dim, next_dim=after))
        return parts

    def all_parts(self, space: SearchSpace) -> list[Part]:
        """Every part that any architecture of a space has, once."""
        found = dict.fromkeys(Part('stem', 0, dim) for dim in space.stages[0].embed_dim)
        for s, stage in enumerate(space.stages):
            for depth, dim in product(stage.depth, stage.embed_dim):
                for i, block in enumerate(stage.blocks[:depth]):
                    attention = self.attention(i, depth)
                    for heads, ratio in product(block.num_heads, block.mlp_ratio):
                        found[Part('block', s, dim, heads, ratio, attention)] = None
            if self.family == 'Swin':
                last = s + 1 == len(space.stages)
                after = (None,) if last else space.stages[s + 1].embed_dim
                for dim, next_dim in product(stage.embed_dim, after):
                    found[Part('end', s, dim, next_dim=next_dim)] = None
        return list(found)

    def attention(self, index: int, depth: int) -> str:
        """What the block of this number attends to in a stage of ``depth`` blocks."""
        if self.family == 'Swin':
            return 'shifted windows' if index % 2 else 'windows'
        return 'windows' if self.window and index not in global_blocks(depth) else 'whole'


def covering_specs(timing: Timing, space: SearchSpace, rng: random.Random) -> Iterator[SubnetSpec]:
    """Few architectures that have every part of a space between them."""
    missing = set(timing.all_parts(space))
    while missing:
        stages: list[StageSpec] = []
        for stage in space.stages:
            options = [
                _filled(timing, len(stages), stage, dim, depth, missing, rng)
                for dim, depth in product(stage.embed_dim, stage.depth)
            ]
            # At random among equals, so that every pair of widths comes in the end.
            rng.shuffle(options)
            gains = [
                len(missing.intersection(timing.parts(SubnetSpec((*stages, option)))))
                for option in options
            ]
            stages.append(options[gains.index(max(gains))])
        spec = SubnetSpec(tuple(stages))
        if not missing.isdisjoint(timing.parts(spec)):
            missing.difference_update(timing.parts(spec))
            yield spec


def _filled(
    timing: Timing,
    index: int,
    stage: StageSpace,
    dim: int,
    depth: int,
    missing: set[Part],
    rng: random.Random,
) -> StageSpec:
    """A stage of a width and a depth, whose blocks are missing ones as far as possible."""
    blocks: list[BlockSpec] = []
    found: set[Part] = set()
    for i, choices in enumerate(stage.blocks[:depth]):
        options = _sizes(choices)
        rng.shuffle(options)
        attention = timing.attention(i, depth)
        parts = [Part('block', index, dim, b.num_heads, b.mlp_ratio, attention) for b in options]
        new = [part in missing and part not in found for part in parts]
        # The first missing one, else the first.
        place = max(range(len(options)), key=new.__getitem__)
        found.add(parts[place])
        blocks.append(options[place])
    return StageSpec(dim, (blocks[0],) * depth if stage.per_stage else tuple(blocks))


def _sizes(choices: BlockSpace) -> list[BlockSpec]:
    ratios = choices.extreme(-1, -1)
    return [
        replace(ratios, num_heads=heads, mlp_ratio=ratio)
        for heads, ratio in product(choices.num_heads, choices.mlp_ratio)
    ]
