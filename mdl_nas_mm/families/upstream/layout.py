"""All parameters of a backbone, each wholly used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mdl_nas_mm.spec import ParamUse, SearchSpace, SubnetSpec


@dataclass(frozen=True)
class UpstreamShape:
    """What is fixed, which is everything.

    Attributes:
        in_channels: of the images.
        sizes: name of a parameter -> rows and elements a row.
    """

    in_channels: int
    sizes: tuple[tuple[str, tuple[int, int]], ...]


class UpstreamLayout:
    """See ``mdl_nas_mm.spec.Layout``.

    Args:
        space: of the one architecture.
        shape: sizes of all parameters.
        count: multiply-adds of one image of a size (height, width).
    """

    def __init__(
        self, space: SearchSpace, shape: UpstreamShape, count: Callable[[tuple[int, int]], int]
    ) -> None:
        self.space, self.shape, self._count = space, shape, count

    def uses(self, spec: SubnetSpec) -> tuple[ParamUse, ...]:
        """Every parameter."""
        return self.part_uses(('whole',))

    def parts(self, spec: SubnetSpec) -> list[tuple]:
        """There is one."""
        return [('whole',)]

    def part_uses(self, part: tuple) -> tuple[ParamUse, ...]:
        """Every parameter."""
        return tuple(
            ParamUse(name, 'stem', 1, rows, columns, rows, columns)
            for name, (rows, columns) in self.shape.sizes
        )

    def flops(
        self,
        spec: SubnetSpec,
        input_size: tuple[int, int],
        attention_products: bool = True,
        settings: Mapping[str, Any] | None = None,
    ) -> int:
        """Multiply-adds of one image, products of two activations always among them."""
        return self._count((input_size[0], input_size[1]))
