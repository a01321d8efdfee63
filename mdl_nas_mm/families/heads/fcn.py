"""The head of a fully convolutional network, slimmable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmseg.models.decode_heads import FCNHead
from torch import Tensor

from mdl_nas_mm.elastic.backbone import check_sizes
from mdl_nas_mm.registry import MODELS

from ..slimmable.layout import Layer
from .base import CLASSES, SlimDecodeHead, head_family
from .inputs import Maps, classes_of


@dataclass(frozen=True)
class FCNShape:
    """What is fixed in a slimmable FCN head; the names are those of upstream's arguments.

    Attributes:
        maps: that it looks at.
        classes: channels of the output.
        has_norm: whether there is a batch norm behind each convolution.
        multiple: to which channels are rounded.
    """

    maps: Maps
    channels: int
    classes: int
    num_convs: int = 2
    kernel_size: int = 3
    concat_input: bool = True
    dilation: int = 1
    has_norm: bool = True
    multiple: int = 1

    def __post_init__(self) -> None:
        others = ('maps', 'concat_input', 'has_norm')
        check_sizes(**{k: getattr(self, k) for k in self.__annotations__ if k not in others})

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> FCNShape:
        """That of a head with these arguments."""
        own = ('num_convs', 'kernel_size', 'concat_input', 'dilation', 'multiple')
        return cls(
            Maps.of(settings),
            settings['channels'],
            classes_of(settings),
            has_norm=bool(settings.get('norm_cfg')),
            **{key: settings[key] for key in own if key in settings},
        )

    @property
    def convs(self) -> list[str]:
        """The widths of the convolutions one after the other."""
        return [f'convs.{i}' for i in range(self.num_convs)]

    def widths(self) -> Mapping[str, int]:
        """See ``SlimShape``."""
        return dict.fromkeys(self.convs + ['conv_cat'] * self.concat_input, self.channels)

    def fixed(self) -> Mapping[str, int]:
        """See ``SlimShape``."""
        return {**self.maps.fixed(), CLASSES: self.classes}

    def given(self, inputs: Sequence[int]) -> Mapping[str, int]:
        """See ``HeadShape``."""
        return self.maps.given(inputs)

    def layers(self) -> tuple[Layer, ...]:
        """See ``SlimShape``."""
        found, at = [], self.maps.names
        for name in self.convs:
            found.append(self._layer(name, at, self.dilation))
            at = (name,)
        if self.concat_input:
            found.append(self._layer('conv_cat', (*self.maps.names, *at), 1))
            at = ('conv_cat',)
        return (*found, Layer('conv_seg', '', CLASSES, at, bias=True))

    def _layer(self, name: str, reads: tuple[str, ...], dilation: int) -> Layer:
        norm = f'{name}.bn' if self.has_norm else ''
        spatial = dict(kernel=self.kernel_size, dilation=dilation)
        return Layer(f'{name}.conv', norm, name, reads, **spatial, bias=not norm)


@MODELS.register_module()
class ElasticFCNHead(SlimDecodeHead, FCNHead):
    """mmseg's ``FCNHead``, in which each convolution has a width ratio of its own.

    With all ratios 1 it is that head, and has its keys.

    Args:
        multiple: channels are rounded to multiples of it.
        init_cfg: see ``ElasticPart``.
        kwargs: those of ``ElasticPart`` and of ``FCNHead``.
    """

    family = head_family('FCN head', FCNShape)
    shape_class = FCNShape
    upstream = ('FCNHead', 'mmseg')

    def features_of(self, inputs: Sequence[Tensor]) -> Tensor:
        """See ``FeaturesOfHead``."""
        counts = self.active_counts()
        x = y = self.narrow_maps(inputs, counts)
        for name in self.shape.convs:
            y = self.run(name, y, counts)
        if self.concat_input:
            y = self.run('conv_cat', torch.cat([x, y], dim=1), counts)
        return y
