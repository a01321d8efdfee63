"""What both ways of executing a part have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

from .parts import Part
from .state import Pair, Pairs

Change = TypeVar('Change')


@dataclass(frozen=True, eq=False)
class Source:
    """What the difference is taken to.

    Attributes:
        kind: ``'base'``, ``'frame'``, or ``'plain'`` for nothing.
        pairs: name of a part -> what it computed there.
    """

    kind: str
    pairs: Pairs

    @property
    def is_base(self) -> bool:
        """Whether it is the base task, whose tensors are not to be written into."""
        return self.kind == 'base'


PLAIN = Source('plain', {})


@dataclass(frozen=True, eq=False)
class Done:
    """A part that was computed.

    Attributes:
        pair: its inputs, as far as they count, and outputs.
        rows: rows that were computed.
        executed: multiply-adds.
        density: the part of the inputs that differed from the source's.
        weight_density: the part of the weights whose difference was computed by itself.
    """

    pair: Pair
    rows: int
    executed: int
    density: float
    weight_density: float = 0.0


def whole(part: Part, inputs: Tensor) -> Done:
    """A part computed of all rows, from no source."""
    rows = len(inputs)
    return Done(Pair(inputs, part(inputs)), rows, rows * part.products, 1.0)


class Execution(Generic[Change]):
    """How a part is brought up to date from a source.

    Args:
        masks: name of a part -> rows (R,) that are computed, in place of what the thresholds say.
    """

    def __init__(self, masks: Mapping[str, Tensor]) -> None:
        self.masks = masks

    def split(self, part: Part) -> list[Part]:
        """The parts that are brought up to date one after the other, a GELU between them."""
        raise NotImplementedError

    def change(self, part: Part, inputs: Tensor, source: Source, threshold: float) -> Change:
        """What of the inputs counts as different from the source's."""
        raise NotImplementedError

    def cost(self, part: Part, change: Change, source: Source) -> float:
        """What bringing the part up to date costs, as a part of its whole cost."""
        raise NotImplementedError

    def rows(self, part: Part, change: Change, source: Source) -> Tensor | None:
        """The rows (R,) whose outputs change; None for all."""
        raise NotImplementedError

    def update(self, part: Part, inputs: Tensor, change: Change, source: Source) -> Done:
        """The part, of a source other than ``PLAIN``; a pair of the frame before is used up."""
        raise NotImplementedError
