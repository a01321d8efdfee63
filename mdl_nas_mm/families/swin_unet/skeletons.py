"""The tree of cells, and skeletons: paths through it on which a task may leave the backbone.

AutoTaskFormer, Section 3.3, Figs. 4 and 5. The encoder has a cell at 1/4, 1/8, 1/16 and 1/32 of
the image's side, ``e1`` to ``e4``. Behind each of the three deeper ones is a decoder, which goes
up to 1/4: ``d3.2`` is the cell at 1/8 (level 2) of the decoder behind ``e3``::

    e1 --- e2 --- e3 --- e4
           |      |      |
           |      |     d4.3
           |     d3.2   d4.2
          d2.1   d3.1   d4.1

An architecture has a stage for each cell, in the order of ``CELLS``; a cell that it does not have
is a stage without blocks. So whose a cell is follows from the tasks' architectures.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

CELLS = ('e1', 'e2', 'e3', 'e4', 'd2.1', 'd3.2', 'd3.1', 'd4.3', 'd4.2', 'd4.1')


def level_of(cell: str) -> int:
    """The level of a cell's map: 1 for 1/4 of the image's side to 4 for 1/32."""
    return int(cell[-1])


def predecessor(cell: str) -> str | None:
    """The cell that a cell's input comes from; None for the first."""
    level = level_of(cell)
    if cell.startswith('e'):
        return f'e{level - 1}' if level > 1 else None
    behind = int(cell[1])
    return f'd{behind}.{level + 1}' if level + 1 < behind else f'e{behind}'


def skipped_from(cell: str, has_skips: bool) -> str | None:
    """The cell whose map a skip connection brings to a decoder's; its predecessors have it.

    Args:
        cell: of the encoder, which has none, or of a decoder.
        has_skips: whether decoders have skip connections.
    """
    return f'e{level_of(cell)}' if has_skips and cell.startswith('d') else None


def with_predecessors(cells: Iterable[str]) -> tuple[str, ...]:
    """All cells that have to be run for some, in the order of ``CELLS``."""
    needed: set[str] = set()
    for cell in cells:
        found: str | None = cell
        while found is not None and found not in needed:
            needed.add(found)
            found = predecessor(found)
    return in_order(needed)


def in_order(cells: Collection[str]) -> tuple[str, ...]:
    """Cells in the order of ``CELLS``, each once."""
    return tuple(cell for cell in CELLS if cell in cells)


def check_cells(cells: Collection[str], where: str) -> None:
    """Raises ValueError, naming ``where``, for an unknown cell, or one without its predecessor."""
    for cell in cells:
        if cell not in CELLS:
            raise ValueError(f'{where}: {cell!r} is not one of the cells {", ".join(CELLS)}')
    for cell in cells:
        before = predecessor(cell)
        if before is not None and before not in cells:
            raise ValueError(f'{where}: cell {cell!r} is there, its predecessor {before!r} is not')


@dataclass(frozen=True)
class Skeleton:
    """Where a task leaves the backbone.

    Attributes:
        outputs: the cells whose maps the task's head is given, in the order of ``CELLS``: one for
            a single-scale skeleton; one of each level for a multi-scale one.
    """

    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.outputs:
            raise ValueError('skeleton: it has no cell')
        for cell in self.outputs:
            if cell not in CELLS:
                raise ValueError(
                    f'skeleton {self.name!r}: {cell!r} is not one of the cells {", ".join(CELLS)}'
                )
        if self.outputs != in_order(self.outputs):
            raise ValueError(
                f'skeleton {self.name!r}: expected each cell once, in the order of {CELLS}'
            )

    @classmethod
    def parse(cls, name: str) -> Skeleton:
        """From its name."""
        return cls(tuple(name.split('+')))

    @property
    def name(self) -> str:
        """The cells of its outputs, such as ``d3.1`` or ``e1+d3.2+e3+e4``."""
        return '+'.join(self.outputs)

    @property
    def cells(self) -> tuple[str, ...]:
        """All cells that it passes through, in the order of ``CELLS``."""
        return with_predecessors(self.outputs)

    def __str__(self) -> str:
        return self.name


def _multi_scale() -> tuple[Skeleton, ...]:
    by_level = [[cell for cell in CELLS if level_of(cell) == level] for level in (1, 2, 3, 4)]
    return tuple(Skeleton(in_order(cells)) for cells in product(*by_level))


# The paper's two spaces of skeletons: 10 and 24 of them.
SKELETONS: dict[str, tuple[Skeleton, ...]] = {
    'single-scale': tuple(Skeleton((cell,)) for cell in CELLS),
    'multi-scale': _multi_scale(),
}


def read_skeletons(value: str | Sequence[str]) -> tuple[Skeleton, ...]:
    """Skeletons as a config gives them: a name of ``SKELETONS``, or names of skeletons.

    Raises:
        ValueError: there is no such name or cell, or a skeleton comes twice.
    """
    if isinstance(value, str):
        if value not in SKELETONS:
            raise ValueError(f'skeletons: {value!r} is not one of {sorted(SKELETONS)}, nor a list')
        return SKELETONS[value]
    if not isinstance(value, Sequence) or not value:
        raise ValueError(f'skeletons: {value!r} is no name, and no list of skeletons')
    for name in value:
        if not isinstance(name, str):
            raise ValueError(f"skeletons: {name!r} is no skeleton's name, such as 'd3.1'")
    skeletons = tuple(Skeleton.parse(name) for name in value)
    for skeleton in skeletons:
        if skeletons.count(skeleton) > 1:
            raise ValueError(f'skeletons: {skeleton.name!r} comes twice')
    return skeletons


def union(skeletons: Iterable[Skeleton]) -> tuple[str, ...]:
    """The cells that several skeletons pass through between them, in the order of ``CELLS``."""
    return in_order({cell for skeleton in skeletons for cell in skeleton.cells})
