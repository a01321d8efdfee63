"""A linear classifier, slimmable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmpretrain.models.heads import LinearClsHead
from torch import Tensor

from mdl_nas_mm.elastic.backbone import check_sizes
from mdl_nas_mm.registry import MODELS

from ..slimmable.layers import SlimLinear
from ..slimmable.layout import Layer
from .base import CLASSES, SlimHead, head_family


@dataclass(frozen=True)
class LinearShape:
    """What is fixed in a slimmable linear classifier; the names are those of its arguments.

    Attributes:
        multiple: to which channels are rounded.
    """

    in_channels: int
    num_classes: int
    multiple: int = 1

    def __post_init__(self) -> None:
        check_sizes(**{key: getattr(self, key) for key in self.__annotations__})

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> LinearShape:
        """That of a head with these arguments."""
        return cls(settings['in_channels'], settings['num_classes'], settings.get('multiple', 1))

    def widths(self) -> Mapping[str, int]:
        """See ``SlimShape``: how many of its inputs it takes."""
        return dict(features=self.in_channels)

    def fixed(self) -> Mapping[str, int]:
        """See ``SlimShape``."""
        return {CLASSES: self.num_classes}

    def given(self, inputs: Sequence[int]) -> Mapping[str, int]:
        """See ``HeadShape``: its ratio is of what the backbone has in use."""
        return dict(features=inputs[-1])

    def layers(self) -> tuple[Layer, ...]:
        """See ``SlimShape``."""
        return (Layer('fc', '', CLASSES, ('features',), bias=True),)


@MODELS.register_module()
class ElasticLinearClsHead(SlimHead, LinearClsHead):
    """mmpretrain's ``LinearClsHead``, of whose inputs it takes the first ones.

    With ratio 1 it is that head, and has its keys.

    Args:
        multiple: channels are rounded to multiples of it.
        init_cfg: see ``ElasticPart``.
        kwargs: those of ``ElasticPart`` and of ``LinearClsHead``.
    """

    family = head_family('linear head', LinearShape)
    shape_class = LinearShape
    upstream = ('LinearClsHead', 'mmpretrain')

    def __init__(
        self,
        multiple: int = 1,
        init_cfg: Mapping | None = dict(type='Normal', layer='Linear', std=0.01),  # noqa: B006
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple, init_cfg=init_cfg, **kwargs)
        self.fc = SlimLinear(self.slim.largest['features'], self.num_classes)

    def pre_logits(self, feats: Sequence[Tensor]) -> Tensor:
        """The inputs (B, features) that the active architecture takes.

        Raises:
            ValueError: see ``check_channels``.
        """
        features, used = super().pre_logits(feats), self.active_counts()['features']
        self.check_channels(features.shape[1], used, self.shape.in_channels)
        return features[:, :used]
