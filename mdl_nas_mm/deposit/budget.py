"""How much may be made of a manifest: no more than the file could hold the weights of."""

from __future__ import annotations

from collections.abc import Mapping

# Regions of one batch; which of them use a row is the bits of one number.
MAX_REGIONS = 32
BYTES_A_BLOCK = 2**14
# Of each there is so much for a small file, and more for what a file holds.
_BLOCKS = (2**10, BYTES_A_BLOCK)
_ROWS = (2**20, 2)
_RECTANGLES = (2**16, 2**8)


class Budget:
    """Counts what is made while a structure is derived, and refuses what no file would need.

    A row has at least one element for each task that uses it, a block of a backbone thousands, so
    that the numbers of a real deposit are far below.

    Args:
        size: bytes of the file.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._left = {
            name: floor + size // part
            for name, (floor, part) in dict(
                blocks=_BLOCKS, rows=_ROWS, rectangles=_RECTANGLES
            ).items()
        }

    def take(self, name: str, count: int) -> None:
        """Counts ``blocks`` of backbones, ``rows`` of parameters, or ``rectangles`` of segments.

        Raises:
            ValueError: there are more than a file of this size may have.
        """
        self._left[name] -= count
        if self._left[name] < 0:
            raise ValueError(f'it makes more {name} than a file of this size can hold')


def check_history(history: list[Mapping]) -> None:
    """Raises ValueError for a batch of more regions than can be told apart."""
    for i, batch in enumerate(history):
        if len(batch['regions']) > MAX_REGIONS:
            raise ValueError(
                f'history, {i}: {len(batch["regions"])} tasks at once, at most {MAX_REGIONS} can '
                'be packed together; add the others'
            )
