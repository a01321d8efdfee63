"""Which elements of weights that several tasks may own lie in which segment, and where; no torch.

A task uses, of a row of a parameter, its first few elements. Where several tasks are stored
together, an element lies in the segment of just those tasks that use it; so a row is cut where
the tasks' lengths end. Rows that the same tasks use are cut at the same places: a group of such
rows, between two cuts, is a rectangle, stored row by row. A segment is rectangles, one after the
other, of all parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mdl_nas_mm.spec import Owners
from mdl_nas_mm.spec.footprint import Footprint
from mdl_nas_mm.spec.layout import Run
from mdl_nas_mm.spec.owners import join_names

from .budget import Budget
from .regions import Region, UsedRows


@dataclass(frozen=True)
class Block:
    """A rectangle of a run: some rows, of each the elements from ``start`` to ``end``.

    Attributes:
        rows: ascending indices of the parameter's rows.
        start, end: counted from the first column of the run.
        offset: where its first element lies in the segment.
    """

    segment: str
    rows: np.ndarray
    start: int
    end: int
    offset: int

    @property
    def size(self) -> int:
        """Elements."""
        return len(self.rows) * (self.end - self.start)

    @cached_property
    def owners(self) -> Owners:
        """The regions of its batch, by label, that use all of it."""
        return Owners.read(self.segment)


@dataclass(frozen=True)
class Segments:
    """All segments of a history of batches, whether they are still stored or not.

    Attributes:
        blocks: run -> its rectangles; of the same row, from left to right.
        sizes: segment -> elements.
    """

    blocks: dict[Run, list[Block]]
    sizes: dict[str, int]

    def used_by(self, region: Region) -> set[str]:
        """The segments of which a region uses any element."""
        return {
            block.segment
            for run, part in region.parts.items()
            for block in self.blocks.get(run, ())
            if uses(region, part, block)
        }

    def needed_by(self, regions: Iterable[Region], stored: Iterable[str]) -> set[str]:
        """The segments that regions use, and those that stand in front of these in any row.

        So what is stored of a row is always its beginning, without a gap.

        Args:
            regions: those of the tasks that are kept.
            stored: the segments that there are.
        """
        kept, before, stored = set().union(*map(self.used_by, regions)), None, frozenset(stored)
        while before != len(kept):
            before = len(kept)
            for blocks in self.blocks.values():
                rows: set[int] = set()
                for block in reversed([b for b in blocks if b.segment in stored]):
                    if block.segment not in kept and rows.isdisjoint(block.rows.tolist()):
                        continue
                    kept.add(block.segment)
                    rows.update(block.rows.tolist())
        return kept

    def lengths(self, segments: Iterable[str], sizes: Mapping[str, int]) -> Footprint:
        """What some segments hold: of each row of a run its first elements.

        Args:
            segments: their names.
            sizes: parameter name -> its rows.
        """
        wanted, found = frozenset(segments), {}
        for (name, first), blocks in self.blocks.items():
            lengths = _lengths(blocks, wanted, sizes[name])
            if lengths.any():
                found[name, first] = lengths
        return found


def uses(region: Region, part: UsedRows, block: Block) -> bool:
    """Whether a region uses any element of a block of the parameter."""
    if region.label in block.owners:
        return True
    if block.segment not in region.earlier:
        return False
    return block.start < part.use.columns and bool(part.rows[block.rows].any())


def lay_out(batches: Sequence[Sequence[Region]], budget: Budget | None = None) -> Segments:
    """Cuts what batches of regions may share, stored one after the other, into segments."""
    blocks: dict[Run, list[Block]] = {}
    sizes: dict[str, int] = {}
    for batch in batches:
        groups: dict[tuple, list] = {}
        earlier = batch[0].earlier
        for run in dict.fromkeys(run for region in batch for run in region.parts):
            users = [region for region in batch if run in region.parts]
            parts = [region.parts[run] for region in users]
            stored, layer = None, (parts[0].owners, parts[0].use.layer, len(parts[0].rows))
            if earlier and run in blocks:
                if budget is not None:
                    budget.take('rows', layer[2] + len(blocks[run]))
                stored = _lengths(blocks[run], earlier, layer[2])
                layer = run
            if layer not in groups:
                groups[layer] = _alike([part.rows for part in parts], stored)
            if budget is not None:
                widths = len({part.use.columns for part in parts})
                budget.take('rectangles', len(groups[layer]) * widths)
            for rows, chosen, first in groups[layer]:
                _cut(run, rows, [(users[i], parts[i]) for i in chosen], first, blocks, sizes)
    return Segments(blocks, sizes)


def _cut(
    run: Run,
    rows: np.ndarray,
    users: list[tuple[Region, UsedRows]],
    start: int,
    blocks: dict[Run, list[Block]],
    sizes: dict[str, int],
) -> None:
    """Adds the blocks of alike rows, whose elements before ``start`` are stored."""
    for end in sorted({part.use.columns for _, part in users}):
        if end > start:
            labels = [region.label for region, part in users if part.use.columns >= end]
            segment = join_names(labels)
            block = Block(segment, rows, start, end, sizes.get(segment, 0))
            blocks.setdefault(run, []).append(block)
            sizes[segment] = block.offset + block.size
            start = end


def _alike(rows_of: list[np.ndarray], stored: np.ndarray | None) -> list[tuple]:
    """Groups rows that the same users have, and of which equally much is stored.

    Returns:
        For each group its row indices, the numbers of its users, and what is stored.
    """
    bits, levels = len(rows_of), np.zeros(1, np.int64)
    codes = np.zeros(len(rows_of[0]), np.int64)
    if stored is not None:
        levels, codes = np.unique(stored, return_inverse=True)
        codes = codes.reshape(-1).astype(np.int64) << bits
    for i, rows in enumerate(rows_of):
        codes |= rows.astype(np.int64) << i
    if codes.max(initial=0) < 2**16:
        # So few that numpy sorts them without comparing.
        codes = codes.astype(np.uint16)
    order = np.argsort(codes, kind='stable')
    codes = codes[order].astype(np.int64)
    bounds = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    groups = []
    for begin, end in zip(bounds, bounds[1:]):
        code = int(codes[begin]) if end > begin else 0
        chosen = [i for i in range(bits) if code >> i & 1]
        if chosen:
            groups.append((order[begin:end], chosen, int(levels[code >> bits])))
    return groups


def _lengths(blocks: Iterable[Block], segments: frozenset[str], rows: int) -> np.ndarray:
    """How many elements of each row of a parameter some segments hold."""
    lengths = np.zeros(rows, np.int64)
    for block in blocks:
        if block.segment in segments:
            lengths[block.rows] = np.maximum(lengths[block.rows], block.end)
    return lengths
