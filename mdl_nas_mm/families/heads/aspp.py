"""DeepLabV3's head, slimmable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmseg.models.decode_heads import ASPPHead
from mmseg.models.utils import resize
from torch import Tensor

from mdl_nas_mm.elastic.backbone import check_sizes
from mdl_nas_mm.registry import MODELS

from ..slimmable.layout import Layer
from .base import CLASSES, SlimDecodeHead, head_family
from .inputs import Maps, classes_of


@dataclass(frozen=True)
class ASPPShape:
    """What is fixed in a slimmable ASPP head; the names are those of upstream's arguments.

    Attributes:
        maps: that it looks at.
        classes: channels of the output.
        has_norm: whether there is a batch norm behind each convolution.
        multiple: to which channels are rounded.
    """

    maps: Maps
    channels: int
    classes: int
    dilations: tuple[int, ...] = (1, 6, 12, 18)
    has_norm: bool = True
    multiple: int = 1

    def __post_init__(self) -> None:
        sizes = {k: getattr(self, k) for k in ('channels', 'classes', 'multiple')}
        check_sizes(**sizes, dilations=self.dilations)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> ASPPShape:
        """That of a head with these arguments."""
        dilations = settings.get('dilations', (1, 6, 12, 18))
        if not isinstance(dilations, Sequence):
            raise ValueError(f'dilations is {dilations!r}, expected a list of numbers')
        return cls(
            Maps.of(settings),
            settings['channels'],
            classes_of(settings),
            tuple(dilations),
            bool(settings.get('norm_cfg')),
            settings.get('multiple', 1),
        )

    @property
    def branches(self) -> list[str]:
        """The widths that are concatenated."""
        return ['image_pool', *(f'aspp_modules.{i}' for i in range(len(self.dilations)))]

    def widths(self) -> Mapping[str, int]:
        """See ``SlimShape``."""
        return dict.fromkeys((*self.branches, 'bottleneck'), self.channels)

    def fixed(self) -> Mapping[str, int]:
        """See ``SlimShape``."""
        return {**self.maps.fixed(), CLASSES: self.classes}

    def given(self, inputs: Sequence[int]) -> Mapping[str, int]:
        """See ``HeadShape``."""
        return self.maps.given(inputs)

    def layers(self) -> tuple[Layer, ...]:
        """See ``SlimShape``."""
        maps = self.maps.names
        found = [self._layer('image_pool.1', 'image_pool', maps)]
        for i, dilation in enumerate(self.dilations):
            name = f'aspp_modules.{i}'
            kernel = 1 if dilation == 1 else 3
            found.append(self._layer(name, name, maps, kernel=kernel, dilation=dilation))
        found.append(self._layer('bottleneck', 'bottleneck', tuple(self.branches), kernel=3))
        found.append(Layer('conv_seg', '', CLASSES, ('bottleneck',), bias=True))
        return tuple(found)

    def _layer(self, name: str, writes: str, reads: tuple[str, ...], **kernel: Any) -> Layer:
        norm = f'{name}.bn' if self.has_norm else ''
        return Layer(f'{name}.conv', norm, writes, reads, **kernel, bias=not norm)


@MODELS.register_module()
class ElasticASPPHead(SlimDecodeHead, ASPPHead):
    """mmseg's ``ASPPHead``, in which each convolution has a width ratio of its own.

    With all ratios 1 it is that head, and has its keys.

    Args:
        multiple: channels are rounded to multiples of it.
        init_cfg: see ``ElasticPart``.
        kwargs: those of ``ElasticPart`` and of ``ASPPHead``.
    """

    family = head_family('ASPP head', ASPPShape)
    shape_class = ASPPShape
    upstream = ('ASPPHead', 'mmseg')

    def features_of(self, inputs: Sequence[Tensor]) -> Tensor:
        """See ``FeaturesOfHead``."""
        counts = self.active_counts()
        x = self.narrow_maps(inputs, counts)
        pooled = self.run('image_pool.1', self.image_pool[0](x), counts)
        size = x.shape[2:]
        maps = [resize(pooled, size=size, mode='bilinear', align_corners=self.align_corners)]
        maps += [self.run(name, x, counts) for name in self.shape.branches[1:]]
        return self.run('bottleneck', torch.cat(maps, dim=1), counts)
