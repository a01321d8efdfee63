"""Which part of which parameter an architecture uses, in closed form.

Every parameter is seen as a matrix of rows: one row an output channel; a kernel's columns are its
inputs, each times height times width of the kernel. A subnet uses the first ``channels`` rows of
each group of rows, and of each row the first ``columns`` elements of a run. Most parameters are
one run; that of a layer behind a concatenation has a run for each of the concatenated maps.
Counting, storing and freezing all follow from this one description.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from .space import SearchSpace
from .spec import SubnetSpec

Run = tuple[str, int]


@dataclass(frozen=True)
class ParamUse:
    """The part of one parameter that an architecture uses, or of one run of its columns.

    Attributes:
        name: state-dict key of the shared parameter.
        role: which policy rules it: one of the family's roles; ``stem``, which is wholly shared; or
            ``own``, of which each task has its own.
        groups: q, k and v are three groups of rows of one parameter; 1 otherwise.
        max_channels: rows a group that the parameter has.
        max_columns: elements a row that the parameter has.
        channels: rows a group in use.
        columns: elements a row in use, of the run.
        share_ratio: share ratio of its channels.
        first_column: where the run begins. Runs of a parameter do not overlap, whatever the
            architecture; a layer's uses come run by run, and before those of its bias.
        tasks: those that have it, where not all do.
        run: name and first column, which tell a use from all others of an architecture.
    """

    name: str
    role: str
    groups: int
    max_channels: int
    max_columns: int
    channels: int
    columns: int
    share_ratio: float = 1.0
    first_column: int = 0
    # Says nothing of the parameter itself.
    tasks: frozenset[str] | None = field(default=None, compare=False)
    # Made once: the ledger asks for it more often than for anything else.
    run: Run = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, 'run', (self.name, self.first_column))

    @property
    def layer(self) -> str:
        """State-dict prefix of the layer that owns the parameter."""
        return self.name.rsplit('.', 1)[0]

    @property
    def size(self) -> int:
        """Elements in use."""
        return self.groups * self.channels * self.columns

    def row_lengths(self, rows: np.ndarray) -> np.ndarray:
        """How many first elements of each row of the run are in use.

        Args:
            rows: boolean (groups, channels); which used rows are meant.

        Returns:
            (groups * max_channels,).
        """
        lengths = np.zeros((self.groups, self.max_channels), np.int64)
        lengths[:, : self.channels] = rows * self.columns
        return lengths.reshape(-1)


class Layout(Protocol):
    """What the ledger, the deposit and the freezing ask of a backbone.

    It can be pickled and copied.

    Attributes:
        space: of its architectures.
        shape: what is fixed in all of them, a frozen dataclass of JSON-able values of the family's
            own; with ``in_channels``, of the images.
    """

    space: SearchSpace
    shape: Any

    def uses(self, spec: SubnetSpec) -> tuple[ParamUse, ...]:
        """Every parameter that ``spec`` uses, a layer's weight before its bias; also those that
        just some tasks have, see ``used_by``."""

    def parts(self, spec: SubnetSpec) -> list[tuple]:
        """Keys of the parts that ``uses`` is made of; an architecture has few different ones."""

    def part_uses(self, part: tuple) -> tuple[ParamUse, ...]:
        """Every parameter that a part uses; the same for all architectures with this part."""

    def flops(
        self,
        spec: SubnetSpec,
        input_size: tuple[int, int],
        attention_products: bool = True,
        settings: Mapping[str, Any] | None = None,
    ) -> int:
        """Multiply-adds of one image.

        Args:
            spec: the architecture.
            input_size: (height, width) in pixels.
            attention_products: whether to count products of two activations; published figures
                differ in that.
            settings: of the task; see ``ElasticBackbone.settings_of``.
        """


def used_by(uses: Iterable[ParamUse], task: str | None) -> tuple[ParamUse, ...]:
    """Of what an architecture uses that of one task; of None what all tasks have."""
    return tuple(use for use in uses if use.tasks is None or task in use.tasks)


def names_of_some(layout: Layout) -> set[str]:
    """The parameters that just some tasks have."""
    return {use.name for use in layout.uses(layout.space.largest()) if use.tasks is not None}


def vector_uses(
    name: str, role: str, channels: int, max_channels: int, ratio: float = 1.0
) -> list[ParamUse]:
    """A norm's weight and bias."""
    return [
        ParamUse(f'{name}.{key}', role, 1, max_channels, 1, channels, 1, ratio)
        for key in ('weight', 'bias')
    ]


def linear_uses(
    name: str,
    role: str,
    channels: int,
    max_channels: int,
    columns: int,
    max_columns: int,
    ratio: float,
    groups: int = 1,
    bias: bool = True,
) -> list[ParamUse]:
    """A linear layer's weight and bias; ``columns`` are its inputs."""
    size = (groups, max_channels, max_columns, channels, columns, ratio)
    uses = [ParamUse(f'{name}.weight', role, *size)]
    if bias:
        uses.append(ParamUse(f'{name}.bias', role, groups, max_channels, 1, channels, 1, ratio))
    return uses
