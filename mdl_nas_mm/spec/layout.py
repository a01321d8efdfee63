"""Which part of which parameter an architecture uses, in closed form.

Every parameter is seen as a matrix of rows: one row an output channel. A subnet uses the first
``channels`` rows of each group of rows, and of each row the first ``columns`` elements. Counting,
storing and freezing all follow from this one description.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .space import SearchSpace
from .spec import SubnetSpec


@dataclass(frozen=True)
class ParamUse:
    """The part of one parameter that an architecture uses.

    Attributes:
        name: state-dict key of the shared parameter.
        role: ``stem`` (wholly shared), ``norm``, ``attn`` or ``ffn``: which policy rules it.
        groups: q, k and v are three groups of rows of one parameter; 1 otherwise.
        max_channels: rows a group that the parameter has.
        max_columns: elements a row that the parameter has.
        channels: rows a group in use.
        columns: elements a row in use.
        share_ratio: share ratio of its channels.
    """

    name: str
    role: str
    groups: int
    max_channels: int
    max_columns: int
    channels: int
    columns: int
    share_ratio: float = 1.0

    @property
    def layer(self) -> str:
        """State-dict prefix of the layer that owns the parameter."""
        return self.name.rsplit('.', 1)[0]

    @property
    def size(self) -> int:
        """Elements in use."""
        return self.groups * self.channels * self.columns


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
        """Every parameter that ``spec`` uses, a layer's weight before its bias."""

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
            input_size: (height, width) in pixels.
            attention_products: whether to count products of two activations; published figures
                differ in that.
            settings: of the task; see ``ElasticBackbone.settings_of``.
        """


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
