"""What the latency of an architecture is made of, as its family tells it.

A part's latency does not depend on share ratios, as a stored task's weights are put together
beforehand, nor, nearly, on the parts around it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol

from mdl_nas_mm.spec import SearchSpace, SubnetSpec


class LatencyPart(Protocol):
    """What is measured at once: a frozen dataclass of JSON-able values."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def kind(self) -> str:
        """``'block'``, or what else the family has."""


class TimedParts(Protocol):
    """The parts of a family's architectures."""

    @property
    def kind(self) -> type[Any]:
        """The class of a part."""

    def parts(self, spec: SubnetSpec) -> Sequence[LatencyPart]:
        """The parts of an architecture, in their order.

        One with the ``kind`` ``'block'`` for each of its blocks; what is not in blocks may have
        several, whose latencies then are told apart by what lies between blocks.
        """

    def all_parts(self, space: SearchSpace) -> Sequence[LatencyPart]:
        """Every part that any architecture of a space has, once."""

    def covering_specs(self, space: SearchSpace, rng: random.Random) -> Iterator[SubnetSpec]:
        """Few architectures that have every part of a space between them."""
