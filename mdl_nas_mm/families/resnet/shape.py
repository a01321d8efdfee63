"""What all architectures of an elastic ResNet have in common, and the list of its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mdl_nas_mm.elastic.backbone import check_sizes

from ..slimmable.layout import Layer, stage_count

# Depth -> blocks of each stage; from 50 on, bottlenecks.
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
IMAGES = 'images'


@dataclass(frozen=True)
class ResNetShape:
    """What is fixed in an elastic ResNet; the names are those of upstream's arguments.

    Attributes:
        multiple: to which channels are rounded.
    """

    depth: int = 18
    in_channels: int = 3
    stem_channels: int = 64
    base_channels: int = 64
    strides: tuple[int, ...] = (1, 2, 2, 2)
    dilations: tuple[int, ...] = (1, 1, 1, 1)
    style: str = 'pytorch'
    deep_stem: bool = False
    contract_dilation: bool = False
    multiple: int = 1

    def __post_init__(self) -> None:
        if self.depth not in BLOCKS:
            raise ValueError(f'depth is {self.depth!r}, expected one of {tuple(BLOCKS)}')
        sizes = {k: getattr(self, k) for k in ('in_channels', 'stem_channels', 'base_channels')}
        check_sizes(**sizes, multiple=self.multiple)
        for key in ('strides', 'dilations'):
            value = getattr(self, key)
            if not isinstance(value, Sequence) or not 1 <= len(value) <= 4:
                raise ValueError(f'{key} is {value!r}, expected one for each of 1 to 4 stages')
            check_sizes(**{key: value})
            object.__setattr__(self, key, tuple(value))
        if len(self.strides) != len(self.dilations):
            raise ValueError(f'strides are {self.strides}, dilations {self.dilations}')
        if self.style not in ('pytorch', 'caffe'):
            raise ValueError(f"style is {self.style!r}, expected 'pytorch' or 'caffe'")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> ResNetShape:
        """That of a backbone with these arguments."""
        found = cls(**{key: settings[key] for key in cls.__annotations__ if key in settings})
        return found.first(stage_count(settings, found.stages, range(found.stages)))

    @property
    def stages(self) -> int:
        """See ``StagedShape``."""
        return len(self.strides)

    def first(self, stages: int) -> ResNetShape:
        """See ``StagedShape``."""
        return replace(self, strides=self.strides[:stages], dilations=self.dilations[:stages])

    @property
    def is_bottleneck(self) -> bool:
        """Whether a block has three convolutions, the last of which widens four times."""
        return self.depth >= 50

    @cached_property
    def _plan(self) -> tuple[dict[str, int], tuple[Layer, ...]]:
        return _Plan(self).made()

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
        counts = BLOCKS[self.depth][: len(self.strides)]
        return [f'layer{i + 1}.{j}' for i, count in enumerate(counts) for j in range(count)]

    def outputs(self) -> list[str]:
        """The width that each stage returns."""
        layers = {layer.name: layer for layer in self.layers()}
        last = f'conv{3 if self.is_bottleneck else 2}'
        return [layers[f'layer{i + 1}.0.{last}'].writes for i in range(len(self.strides))]


class _Plan:
    """Goes through a ResNet from the images on, as upstream builds it."""

    def __init__(self, shape: ResNetShape) -> None:
        self.shape = shape
        self.widths: dict[str, int] = {}
        self.layers: list[Layer] = []
        self.scale, self.at = 1, IMAGES

    def made(self) -> tuple[dict[str, int], tuple[Layer, ...]]:
        shape = self.shape
        self._stem()
        for i, count in enumerate(BLOCKS[shape.depth][: len(shape.strides)]):
            for j in range(count):
                self._block(i, j)
        return self.widths, tuple(self.layers)

    def _add(self, name: str, norm: str, writes: str, channels: int, **kernel: Any) -> None:
        """A layer behind the last one."""
        self.widths.setdefault(writes, channels)
        self.scale *= kernel.get('stride', 1)
        self.layers.append(Layer(name, norm, writes, (self.at,), scale=self.scale, **kernel))
        self.at = writes

    def _stem(self) -> None:
        channels = self.shape.stem_channels
        if self.shape.deep_stem:
            self._add('stem.0', 'stem.1', 'stem.0', channels // 2, kernel=3, stride=2)
            self._add('stem.3', 'stem.4', 'stem.3', channels // 2, kernel=3)
            self._add('stem.6', 'stem.7', self._stem_width, channels, kernel=3)
        else:
            self._add('conv1', 'bn1', self._stem_width, channels, kernel=7, stride=2)
        self.scale *= 2

    @property
    def _stem_width(self) -> str:
        """The first stage adds to what the stem gives where it changes no size."""
        if not self._changes_size(0, self.shape.stem_channels):
            return 'layer1'
        return 'stem.6' if self.shape.deep_stem else 'conv1'

    def _changes_size(self, stage: int, channels: int) -> bool:
        return self.shape.strides[stage] != 1 or channels != self._stage_channels(stage)

    def _stage_channels(self, stage: int) -> int:
        return self.shape.base_channels * 2**stage * (4 if self.shape.is_bottleneck else 1)

    def _block(self, stage: int, index: int) -> None:
        shape, name, inputs = self.shape, f'layer{stage + 1}.{index}', self.at
        stride = shape.strides[stage] if index == 0 else 1
        dilation = shape.dilations[stage]
        if index == 0 and shape.contract_dilation and dilation > 1:
            dilation //= 2
        inner, outer = shape.base_channels * 2**stage, self._stage_channels(stage)
        is_changed = index == 0 and self._changes_size(stage, self.widths[inputs])
        writes = f'layer{stage + 1}' if is_changed else inputs
        sides = dict(kernel=3, dilation=dilation)
        if shape.is_bottleneck:
            first, second = (1, stride) if shape.style == 'pytorch' else (stride, 1)
            self._add(f'{name}.conv1', f'{name}.bn1', f'{name}.conv1', inner, stride=first)
            self._add(
                f'{name}.conv2', f'{name}.bn2', f'{name}.conv2', inner, stride=second, **sides
            )
            self._add(f'{name}.conv3', f'{name}.bn3', writes, outer)
        else:
            self._add(
                f'{name}.conv1', f'{name}.bn1', f'{name}.conv1', inner, stride=stride, **sides
            )
            self._add(f'{name}.conv2', f'{name}.bn2', writes, outer, kernel=3)
        if is_changed:
            down = f'{name}.downsample'
            layer = Layer(f'{down}.0', f'{down}.1', writes, (inputs,), 1, stride, 1, self.scale)
            self.layers.append(layer)
