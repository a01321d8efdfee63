"""What an architecture of a slimmable network is told: one flat tuple of width ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mdl_nas_mm.spec import Dimensions, SearchSpace, SubnetSpec
from mdl_nas_mm.spec.choices import parse_block_choices
from mdl_nas_mm.spec.dimensions import blocks_of, size
from mdl_nas_mm.utils.amounts import is_number


@dataclass(frozen=True)
class WidthSpec:
    """One independent width.

    Attributes:
        width_ratio: channels over those of the published network, in (0, 1].
    """

    width_ratio: float = size('width ratio')


@dataclass(frozen=True)
class WidthsSpec:
    """All independent widths, in the order in which the shape of the network names them."""

    blocks: tuple[WidthSpec, ...] = blocks_of(WidthSpec)


SLIMMABLE = Dimensions(WidthsSpec)


def widths(spec: SubnetSpec) -> tuple[float, ...]:
    """The width ratios of an architecture, of the backbone's and then of its parts' layers."""
    return tuple(block.width_ratio for stage in spec.stages for block in stage.blocks)


def with_widths(spec: SubnetSpec, ratios: Sequence[float]) -> SubnetSpec:
    """An architecture with other width ratios.

    Args:
        spec: whose layers and parts they are.
        ratios: as ``widths`` gives them.

    Raises:
        ValueError: there are more or fewer of them.
    """
    if len(ratios) != spec.depth:
        raise ValueError(f'{len(ratios)} width ratios for {spec.depth} layers')
    left, stages = iter(ratios), []
    for stage in spec.stages:
        stages.append(replace(stage, blocks=tuple(WidthSpec(next(left)) for _ in stage.blocks)))
    return replace(spec, stages=tuple(stages))


def width_choices(space: SearchSpace) -> tuple[tuple[float, ...], ...]:
    """The ascending choices of each layer, in the order of ``widths``."""
    return tuple(block.named['width_ratio'] for stage in space.stages for block in stage.blocks)


def channels_of(ratio: float, channels: int, multiple: int) -> int:
    """Channels at a width ratio: the nearest multiple, half up, and at most all of them."""
    # Of a product that should be whole, the last digits are not.
    count = int(round(ratio * channels / multiple, 6) + 0.5) * multiple
    return min(count, channels)


def completed(
    config: Mapping | Sequence[Mapping], channels: Mapping[str, int], multiple: int
) -> list[dict[str, Any]]:
    """A space's config that says the choices of each layer.

    Of ratios that give a layer the same channels, the largest is left.

    Args:
        config: ``dict(width_ratio=...)`` with choices for all layers, or a list of them for each.
        channels: name -> channels at ratio 1, of each independent width.
        multiple: to which channels are rounded.

    Raises:
        ValueError: there are choices for another number of layers, or a ratio is outside (0, 1]
            or leaves a layer without channels.
    """
    stages = [config] if isinstance(config, Mapping) else config
    if not isinstance(stages, Sequence) or isinstance(stages, str) or len(stages) != 1:
        raise ValueError('search space: expected one dict with the choices of width_ratio')
    stage, count = dict(stages[0]), len(channels)
    if stage.setdefault('depth', count) not in (count, [count], (count,)):
        raise ValueError(
            f'search space, width_ratio: depth is {stage["depth"]}, this network has {count} '
            'independent widths'
        )
    if 'width_ratio' not in stage:
        raise ValueError("search space: 'width_ratio' is missing")
    given = parse_block_choices(stage['width_ratio'], count, 'search space, width_ratio')
    stage['width_ratio'] = [
        _distinct(name, ratios, channels[name], multiple) for name, ratios in zip(channels, given)
    ]
    return [stage]


def _distinct(name: str, ratios: Sequence[Any], channels: int, multiple: int) -> list[float]:
    """The ratios that give different numbers of channels, of equal ones the largest."""
    found = {}
    for ratio in ratios:
        if not is_number(ratio) or not 0 < ratio <= 1:
            raise ValueError(f'search space, {name}: width ratio {ratio} is outside (0, 1]')
        count = channels_of(ratio, channels, multiple)
        if not count:
            raise ValueError(
                f'search space, {name}: width ratio {ratio} leaves none of its {channels} '
                f'channels, rounded to multiples of {multiple}'
            )
        found[count] = float(ratio)
    return list(found.values())
