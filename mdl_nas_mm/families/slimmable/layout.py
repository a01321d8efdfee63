"""What an architecture of a slimmable network uses, from the list of its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from mdl_nas_mm.spec import ParamUse, PartSpec, SearchSpace, SubnetSpec
from mdl_nas_mm.spec.layout import vector_uses

from .dimensions import channels_of, widths


@dataclass(frozen=True)
class Layer:
    """A convolution, or a linear map, and the batch norm behind it.

    Channels go by the names of widths; layers that are added write the same.

    Attributes:
        name: of its module.
        norm: of its norm's module; empty without one.
        writes: width of its output.
        reads: widths of its inputs, in the order in which they are concatenated. A depthwise
            convolution reads what it writes.
        kernel: side of the kernel.
        stride, dilation: of the kernel.
        scale: side of the image over that of its output, rounded up.
        depthwise: whether each channel has a kernel of its own.
        bias: whether it has one.
    """

    name: str
    norm: str
    writes: str
    reads: tuple[str, ...]
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    scale: int = 1
    depthwise: bool = False
    bias: bool = False


class SlimShape(Protocol):
    """What is fixed in all architectures of a slimmable network: a frozen dataclass."""

    @property
    def multiple(self) -> int:
        """To which channels are rounded."""

    def widths(self) -> Mapping[str, int]:
        """Name -> channels at ratio 1 of each width that has a ratio of its own."""

    def fixed(self) -> Mapping[str, int]:
        """Name -> channels of what has none, such as images."""

    def layers(self) -> tuple[Layer, ...]:
        """All layers with weights."""


class StagedShape(SlimShape, Protocol):
    """What is fixed in a backbone that returns the maps of some stages."""

    @property
    def stages(self) -> int:
        """How many stages there are."""

    def first(self, stages: int) -> StagedShape:
        """That of the first stages alone; their widths come first."""

    def block_names(self) -> list[str]:
        """Names of the blocks' modules."""


def stage_count(settings: Mapping[str, Any], most: int, default: Sequence[int]) -> int:
    """How many stages a backbone has: what lies behind the last one that is taken is left out.

    Args:
        settings: arguments of the backbone; ``stages`` may say it, else ``out_indices`` does.
        most: of its network.
        default: ``out_indices`` where they are not given.
    """
    if settings.get('stages') is not None:
        return settings['stages']
    taken = settings.get('out_indices', default)
    lists = taken.values() if isinstance(taken, Mapping) else [taken]
    indices = [index for own in lists for index in own]
    # What is no stage is refused where they are looked up.
    return most if min(indices, default=-1) < 0 else min(max(indices) + 1, most)


class SlimLayout:
    """Layout of a slimmable network; leading channels of each width are in use."""

    def __init__(self, space: SearchSpace, shape: Any) -> None:
        self.space, self.shape = space, shape
        self._whole, self._fixed = dict(shape.widths()), dict(shape.fixed())
        self._layers = tuple(shape.layers())
        self._named = {layer.name: layer for layer in self._layers}
        self.counts = lru_cache(1024)(self.counts)
        self.part_uses = lru_cache(None)(self.part_uses)
        self.largest = self.counts(space.largest())

    def __reduce__(self) -> tuple:
        # What was remembered stays behind; it can be neither pickled nor copied.
        return type(self), (self.space, self.shape)

    def counts(self, spec: SubnetSpec) -> dict[str, int]:
        """Width -> its channels in an architecture, perhaps of the first stages; not to be
        changed."""
        ratios, multiple = widths(spec), self.shape.multiple
        given = self.shape.given(spec.inputs) if isinstance(spec, PartSpec) else {}
        counts = {
            name: channels_of(ratio, given.get(name, channels), multiple)
            for (name, channels), ratio in zip(self._whole.items(), ratios)
        }
        for name, channels in counts.items():
            if not channels:
                raise ValueError(
                    f'{name}: its smallest width ratio leaves none of the {given[name]} channels '
                    'that the backbone gives'
                )
        return counts | {name: given.get(name, count) for name, count in self._fixed.items()}

    def layer(self, name: str) -> Layer:
        """A layer by the name of its module."""
        return self._named[name]

    def whole(self, name: str) -> int:
        """Channels of a width at ratio 1."""
        return self._whole[name] if name in self._whole else self._fixed[name]

    def runs(self, layer: Layer, counts: Mapping[str, int]) -> list[tuple[int, int]]:
        """Which columns of a layer's weight are in use, as (first, how many), in their order."""
        found, first = [], 0
        for name in layer.reads:
            if found and sum(found[-1]) == first:
                found[-1] = found[-1][0], found[-1][1] + counts[name]
            else:
                found.append((first, counts[name]))
            first += self.largest[name]
        return found

    def parts(self, spec: SubnetSpec) -> list[tuple]:
        """Keys of the layers of an architecture, for ``part_uses``."""
        counts = self.counts(spec)
        return [
            (i, counts[layer.writes], *[counts[name] for name in layer.reads])
            for i, layer in enumerate(self._layers)
            if layer.writes in counts and counts.keys() >= {*layer.reads}
        ]

    def part_uses(self, part: tuple) -> tuple[ParamUse, ...]:
        """Every parameter that a layer uses."""
        index, channels, *inputs = part
        layer, largest = self._layers[index], self.largest
        most, area = largest[layer.writes], layer.kernel**2
        have = [1] if layer.depthwise else [largest[name] for name in layer.reads]
        used = [1] if layer.depthwise else inputs
        columns, uses, first = area * sum(have), [], 0
        for count, all_of_them in zip(used, have):
            size = (1, most, columns, channels, area * count, 1.0, first)
            uses.append(ParamUse(f'{layer.name}.weight', 'stem', *size))
            first += area * all_of_them
        if layer.bias:
            uses.append(ParamUse(f'{layer.name}.bias', 'stem', 1, most, 1, channels, 1))
        if layer.norm:
            uses += vector_uses(layer.norm, 'stem', channels, most)
        return tuple(uses)

    def uses(self, spec: SubnetSpec) -> tuple[ParamUse, ...]:
        """Every parameter that ``spec`` uses."""
        return tuple(use for part in self.parts(spec) for use in self.part_uses(part))

    def flops(
        self,
        spec: SubnetSpec,
        input_size: tuple[int, int],
        attention_products: bool = True,
        settings: Mapping[str, Any] | None = None,
    ) -> int:
        """Multiply-adds of convolutions on one image of ``input_size`` (height, width)."""
        height, width = input_size
        pixels = [-(-height // layer.scale) * -(-width // layer.scale) for layer in self._layers]
        return self.products(spec, pixels)

    def products(self, spec: SubnetSpec, pixels: Sequence[int]) -> int:
        """Multiply-adds where the output of each layer has so many pixels, in their order."""
        total = 0
        for index, channels, *inputs in self.parts(spec):
            layer = self._layers[index]
            columns = 1 if layer.depthwise else sum(inputs)
            total += pixels[index] * channels * columns * layer.kernel**2
        return total
