"""What an architecture of a tree of cells is told."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from mdl_nas_mm.spec import Dimensions, SubnetSpec
from mdl_nas_mm.spec.dimensions import absent_stage, blocks_of, size

from ..transformer.dimensions import BlockSpec
from .skeletons import CELLS, check_cells


@dataclass(frozen=True)
class WindowBlockSpec(BlockSpec):
    """A transformer block that chooses the side of its windows.

    Attributes:
        window_side: in tokens; on a smaller map the window is the map.
    """

    window_side: int = size('window', whole=True)


@dataclass(frozen=True)
class CellSpec:
    """The blocks of one cell; a cell that an architecture does not have has none."""

    embed_dim: int = size('width', whole=True)
    blocks: tuple[WindowBlockSpec, ...] = blocks_of(WindowBlockSpec, optional=True)


CELL_TREE = Dimensions(CellSpec, roles=('norm', 'attn', 'ffn'))


def cells_of(spec: SubnetSpec) -> tuple[str, ...]:
    """The cells that an architecture has, in the order of ``CELLS``."""
    return tuple(cell for cell, stage in zip(CELLS, spec.stages) if stage.blocks)


def restrict(spec: SubnetSpec, cells: Collection[str]) -> SubnetSpec:
    """An architecture with some of its cells alone; parts beside the backbone stay.

    Raises:
        ValueError: a cell is unknown, its predecessor is not among them, or the architecture does
            not have it.
    """
    check_cells(cells, 'architecture')
    own = cells_of(spec)
    for cell in cells:
        if cell not in own:
            raise ValueError(f'architecture: it has no cell {cell!r}, only {", ".join(own)}')
    absent = absent_stage(CellSpec)
    root = [s if cell in cells else absent for cell, s in zip(CELLS, spec.root.stages)]
    return spec.with_root(SubnetSpec(tuple(root)))
