"""What the latency of a slimmable network is made of; see ``TimedParts``."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from mdl_nas_mm.spec import SearchSpace, SubnetSpec

from .dimensions import WidthSpec, WidthsSpec, channels_of, width_choices
from .layout import Layer, SlimShape


@dataclass(frozen=True)
class SlimPart:
    """What is measured at once: blocks of equal layers and channels take equally long.

    Attributes:
        kind: ``block``; or ``stem`` for all that is in none.
        name: of the first block of this kind.
        channels: of each of the widths that the block reads or writes.
    """

    kind: str
    name: str
    channels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        # JSON has lists.
        object.__setattr__(self, 'channels', tuple(self.channels))


@dataclass(frozen=True)
class SlimParts:
    """The parts of a slimmable network's architectures.

    Attributes:
        shape: of the network.
        blocks: names of the modules that are timed, in their order.
    """

    shape: SlimShape
    blocks: tuple[str, ...]
    kind: type[SlimPart] = SlimPart

    def parts(self, spec: SubnetSpec) -> list[SlimPart]:
        """The parts of an architecture, perhaps of the first stages, in their order."""
        counts, found = self._counts(spec), []
        for kind, name, own in self._blocks:
            if counts.keys() >= {*own}:
                found.append(SlimPart(kind, name, tuple(counts[width] for width in own)))
        return found

    def all_parts(self, space: SearchSpace) -> list[SlimPart]:
        """Every part that any architecture of a space has, once."""
        choices, found = self._choices(space), {}
        for kind, name, own in self._blocks:
            for channels in product(*(choices[width] for width in own)):
                found[SlimPart(kind, name, channels)] = None
        return list(found)

    def covering_specs(self, space: SearchSpace, rng: random.Random) -> Iterator[SubnetSpec]:
        """Few architectures that have every part of a space between them."""
        missing, ratios = set(self.all_parts(space)), width_choices(space)
        names = list(self.shape.widths())
        whole = self.shape.widths()
        while missing:
            # One part that is missing is met, the other widths are random.
            wanted = min(missing, key=lambda part: (part.name, part.channels))
            own = next(own for _, name, own in self._blocks if name == wanted.name)
            chosen = dict(zip(own, wanted.channels))
            sampled = []
            for name, options in zip(names, ratios):
                fitting = [
                    ratio
                    for ratio in options
                    if chosen.get(name) in (None, self._channels(ratio, whole[name]))
                ]
                sampled.append(WidthSpec(rng.choice(fitting)))
            spec = SubnetSpec((WidthsSpec(tuple(sampled)),))
            missing.difference_update(self.parts(spec))
            yield spec

    def _channels(self, ratio: float, channels: int) -> int:
        return channels_of(ratio, channels, self.shape.multiple)

    def _counts(self, spec: SubnetSpec) -> dict[str, int]:
        ratios = (block.width_ratio for block in spec.stages[0].blocks)
        pairs = zip(self.shape.widths().items(), ratios)
        return {name: self._channels(ratio, channels) for (name, channels), ratio in pairs}

    def _choices(self, space: SearchSpace) -> dict[str, list[int]]:
        pairs = zip(self.shape.widths().items(), width_choices(space))
        return {
            name: [self._channels(ratio, channels) for ratio in ratios]
            for (name, channels), ratios in pairs
        }

    @cached_property
    def _blocks(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Kind, name that stands for all of its kind, and widths, of each part."""
        inside: dict[str, list[Layer]] = {name: [] for name in self.blocks}
        outside: list[Layer] = []
        for layer in self.shape.layers():
            block = next((n for n in self.blocks if layer.name.startswith(f'{n}.')), None)
            (outside if block is None else inside[block]).append(layer)
        found = [('stem', 'stem', self._widths(outside))]
        names: dict[tuple, str] = {}
        for name, layers in inside.items():
            own = self._widths(layers)
            form = tuple((x.kernel, x.stride, x.dilation, x.scale, x.depthwise) for x in layers)
            sizes = tuple((own.index(x.writes), self.shape.widths()[x.writes]) for x in layers)
            found.append(('block', names.setdefault((form, sizes, len(own)), name), own))
        return found

    def _widths(self, layers: list[Layer]) -> tuple[str, ...]:
        used = {name: None for x in layers for name in (*x.reads, x.writes)}
        return tuple(name for name in used if name in self.shape.widths())
