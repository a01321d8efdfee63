"""What the latency of a tree of cells is made of; see ``TimedParts``."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import product

from mdl_nas_mm.spec import SearchSpace, SubnetSpec
from mdl_nas_mm.spec.stage_space import StageSpace

from .dimensions import CellSpec, WindowBlockSpec
from .skeletons import CELLS, predecessor, skipped_from


@dataclass(frozen=True)
class CellPart:
    """What is measured at once.

    Attributes:
        kind: ``entry``, all that lies between the blocks of the cell that is run before and those
            of this one; ``block``.
        before: width of the cell's predecessor, of an ``entry``; 0 for images.
        skipped: of an ``entry`` with a skip connection the width of the cell that it comes from.
        is_shifted: whether the windows of a block are.
    """

    kind: str
    cell: str
    embed_dim: int
    before: int | None = None
    num_heads: int | None = None
    mlp_ratio: float | None = None
    window_side: int | None = None
    is_shifted: bool | None = None
    skipped: int | None = None

    def __str__(self) -> str:
        values = {key: value for key, value in asdict(self).items() if value is not None}
        return f'{values.pop("kind")} ({", ".join(f"{k} {v}" for k, v in values.items())})'


@dataclass(frozen=True)
class CellParts:
    """The parts of trees of cells.

    Attributes:
        has_skips: whether they have skip connections.
    """

    kind: type[CellPart] = CellPart
    has_skips: bool = False

    def parts(self, spec: SubnetSpec) -> list[CellPart]:
        """The parts of an architecture, in their order."""
        found: list[CellPart] = []
        widths = _widths(spec.stages)
        for cell, stage in zip(CELLS, spec.stages):
            if stage.blocks:
                found.append(self._entry(cell, stage.embed_dim, widths))
                found += _of_blocks(cell, stage)
        return found

    def all_parts(self, space: SearchSpace) -> list[CellPart]:
        """Every part that any architecture of a space has, once."""
        found: dict[CellPart, None] = {}
        choices: dict[str | None, tuple[int, ...]] = {None: (0,)}
        for cell, stage in zip(CELLS, space.stages):
            choices[cell] = stage.named['embed_dim']
            if stage.blocks:
                sources = (predecessor(cell), skipped_from(cell, self.has_skips))
                for *widths, dim in product(*(choices[each] for each in sources), choices[cell]):
                    found[self._entry(cell, dim, dict(zip(sources, widths)))] = None
                for dim in choices[cell]:
                    for i, block in enumerate(stage.blocks):
                        for sizes in block.with_every_size(block.extreme(-1, -1)):
                            found[_of_block(cell, dim, i, sizes)] = None
        return list(found)

    def covering_specs(self, space: SearchSpace, rng: random.Random) -> Iterator[SubnetSpec]:
        """Few architectures that have every part of a space between them."""
        missing = set(self.all_parts(space))
        while missing:
            stages: list[CellSpec] = []
            for cell, stage in zip(CELLS, space.stages):
                widths = _widths(stages)
                options = [
                    _filled(cell, stage, dim, depth, missing, rng)
                    for dim, depth in product(stage.named['embed_dim'], stage.depth)
                ]
                # At random among equals, so that every pair of widths comes in the end.
                rng.shuffle(options)
                gains = []
                for option in options:
                    parts = {*_of_blocks(cell, option)}
                    parts.add(self._entry(cell, option.embed_dim, widths))
                    gains.append(len(missing & parts))
                stages.append(options[gains.index(max(gains))])
            spec = SubnetSpec(tuple(stages))
            if not missing.isdisjoint(self.parts(spec)):
                missing.difference_update(self.parts(spec))
                yield spec

    def _entry(self, cell: str, dim: int, widths: Mapping[str | None, int]) -> CellPart:
        """What lies in front of a cell's blocks, by the widths of the cells that it comes from."""
        beside = skipped_from(cell, self.has_skips)
        skipped = widths[beside] if beside else None
        return CellPart('entry', cell, dim, widths[predecessor(cell)], skipped=skipped)


def _widths(stages: list[CellSpec] | tuple[CellSpec, ...]) -> dict[str | None, int]:
    """Cell -> its width; 0 for images."""
    return {None: 0, **{cell: stage.embed_dim for cell, stage in zip(CELLS, stages)}}


def _of_block(cell: str, dim: int, index: int, block: WindowBlockSpec) -> CellPart:
    sizes = (block.num_heads, block.mlp_ratio, block.window_side, index % 2 == 1)
    return CellPart('block', cell, dim, None, *sizes)


def _of_blocks(cell: str, stage: CellSpec) -> list[CellPart]:
    return [_of_block(cell, stage.embed_dim, i, block) for i, block in enumerate(stage.blocks)]


def _filled(
    cell: str,
    stage: StageSpace,
    dim: int,
    depth: int,
    missing: set[CellPart],
    rng: random.Random,
) -> CellSpec:
    """A cell of a width and a depth, whose blocks are missing ones as far as possible."""
    blocks: list[WindowBlockSpec] = []
    found: set[CellPart] = set()
    for i, choices in enumerate(stage.blocks[:depth]):
        options = choices.with_every_size(choices.extreme(-1, -1))
        rng.shuffle(options)
        parts = [_of_block(cell, dim, i, block) for block in options]
        new = [part in missing and part not in found for part in parts]
        # The first missing one, else the first.
        place = max(range(len(options)), key=new.__getitem__)
        found.add(parts[place])
        blocks.append(options[place])
    return CellSpec(dim, (blocks[0],) * depth if stage.per_stage and blocks else tuple(blocks))
