"""What all architectures of an elastic MobileNetV2 have in common, and the list of its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mdl_nas_mm.elastic.backbone import check_sizes
from mdl_nas_mm.utils.amounts import is_number

from ..slimmable.layout import Layer, stage_count

# Of each stage: how many times the hidden width is the input, channels, blocks (Sandler et al.,
# CVPR 2018, Table 2).
STAGES = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
STRIDES = (1, 2, 2, 2, 1, 2, 1)
IMAGES = 'images'


@dataclass(frozen=True)
class MobileNetV2Shape:
    """What is fixed in an elastic MobileNetV2; the names are those of upstream's arguments.

    Attributes:
        multiple: to which channels are rounded.
        stages: of the seven; an eighth is the last 1 x 1 convolution, which mmpretrain has.
    """

    in_channels: int = 3
    widen_factor: float = 1.0
    strides: tuple[int, ...] = STRIDES
    dilations: tuple[int, ...] = (1,) * 7
    multiple: int = 1
    stages: int = 7

    def __post_init__(self) -> None:
        check_sizes(in_channels=self.in_channels, multiple=self.multiple)
        if not is_number(self.widen_factor) or not 0 < self.widen_factor <= 64:
            raise ValueError(f'widen_factor is {self.widen_factor!r}, expected a positive number')
        for key in ('strides', 'dilations'):
            value = getattr(self, key)
            if not isinstance(value, Sequence) or len(value) != len(STAGES):
                raise ValueError(f'{key} is {value!r}, expected one for each of 7 stages')
            check_sizes(**{key: value})
            object.__setattr__(self, key, tuple(value))

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> MobileNetV2Shape:
        """That of a backbone with these arguments."""
        found = cls(
            **{k: settings[k] for k in cls.__annotations__ if k in settings and k != 'stages'}
        )
        most = len(STAGES) + bool(settings.get('conv2'))
        return found.first(stage_count(settings, most, (6,)))

    @property
    def conv2(self) -> bool:
        """Whether there is a last 1 x 1 convolution."""
        return self.stages > len(STAGES)

    def first(self, stages: int) -> MobileNetV2Shape:
        """See ``StagedShape``."""
        return replace(self, stages=stages)

    @cached_property
    def _plan(self) -> tuple[dict[str, int], tuple[Layer, ...]]:
        widths, layers = {'conv1': self._channels(32)}, []
        layers.append(Layer('conv1.conv', 'conv1.bn', 'conv1', (IMAGES,), 3, 2, scale=2))
        at, scale = 'conv1', 2
        for i, (expand, channels, count) in enumerate(STAGES[: self.stages]):
            for j in range(count):
                block, hidden, k = f'layer{i + 1}.{j}', at, 0
                stride, dilation = (self.strides[i], self.dilations[i]) if j == 0 else (1, 1)
                if expand != 1:
                    hidden, k = block, 1
                    widths[hidden] = widths[at] * expand
                    layers.append(_layer(block, 0, hidden, (at,), scale=scale))
                scale *= stride
                spatial = dict(kernel=3, stride=stride, dilation=dilation, depthwise=True)
                layers.append(_layer(block, k, hidden, (hidden,), scale=scale, **spatial))
                same = stride == 1 and widths[at] == self._channels(channels)
                writes = at if same else f'layer{i + 1}'
                widths.setdefault(writes, self._channels(channels))
                layers.append(_layer(block, k + 1, writes, (hidden,), scale=scale))
                at = writes
        if self.conv2:
            widths['conv2'] = int(1280 * max(1.0, self.widen_factor))
            layers.append(Layer('conv2.conv', 'conv2.bn', 'conv2', (at,), scale=scale))
        return widths, tuple(layers)

    def _channels(self, channels: int) -> int:
        """As upstream's ``make_divisible``: multiples of 8, and not less than 90 % of it."""
        wanted = channels * self.widen_factor
        count = max(8, int(wanted + 4) // 8 * 8)
        return count if count >= 0.9 * wanted else count + 8

    def widths(self) -> Mapping[str, int]:
        """See ``SlimShape``."""
        return self._plan[0]

    def fixed(self) -> Mapping[str, int]:
        """See ``SlimShape``."""
        return {IMAGES: self.in_channels}

    def layers(self) -> tuple[Layer, ...]:
        """See ``SlimShape``."""
        return self._plan[1]

    def block_names(self) -> list[str]:
        """Names of the blocks' modules."""
        counts = [n for _, _, n in STAGES[: self.stages]]
        names = [f'layer{i + 1}.{j}' for i, n in enumerate(counts) for j in range(n)]
        return names + ['conv2'] * self.conv2

    def outputs(self) -> list[str]:
        """The width that each stage returns."""
        last = {layer.name.partition('.')[0]: layer.writes for layer in self.layers()}
        return [width for name, width in last.items() if name != 'conv1']


def _layer(block: str, index: int, writes: str, reads: tuple[str, ...], **settings: Any) -> Layer:
    name = f'{block}.conv.{index}'
    return Layer(f'{name}.conv', f'{name}.bn', writes, reads, **settings)
