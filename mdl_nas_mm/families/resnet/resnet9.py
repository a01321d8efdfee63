"""ResNet-9 for small images, whose layers each have a width of their own.

That of DAWNBench's CIFAR-10 entry (D. Page, "How to train your ResNet", 2018), without its last
pooling and classifier, which are a neck and a head. No library of OpenMMLab has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mdl_nas_mm.elastic.backbone import check_sizes
from mdl_nas_mm.elastic.family import register_family
from mdl_nas_mm.elastic.key_styles import KeyStyle
from mdl_nas_mm.registry import MODELS

from ..slimmable.backbone import SlimBackbone
from ..slimmable.family import slim_family
from ..slimmable.layers import ConvNorm
from ..slimmable.layout import Layer, stage_count

STAGES = ('conv1', 'layer1', 'layer2', 'layer3')
# The convolutions of a residual block behind the first and the third stage's own.
_RESIDUAL = {'layer1': ('layer1_res.0', 'layer1_res.1'), 'layer3': ('layer3_res.0', 'layer3_res.1')}
IMAGES = 'images'


@dataclass(frozen=True)
class ResNet9Shape:
    """What is fixed in an elastic ResNet-9.

    Attributes:
        base_channels: of the first convolution at ratio 1; each stage has twice as many.
        multiple: to which channels are rounded.
        stages: of the four.
    """

    in_channels: int = 3
    base_channels: int = 64
    multiple: int = 1
    stages: int = 4

    def __post_init__(self) -> None:
        check_sizes(**{key: getattr(self, key) for key in self.__annotations__})

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> ResNet9Shape:
        """That of a backbone with these arguments."""
        own = ('in_channels', 'base_channels', 'multiple')
        stages = stage_count(settings, len(STAGES), (3,))
        return cls(**{key: settings[key] for key in own if key in settings}, stages=stages)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the stages."""
        return STAGES[: self.stages]

    def first(self, stages: int) -> ResNet9Shape:
        """See ``StagedShape``."""
        return replace(self, stages=stages)

    def widths(self) -> Mapping[str, int]:
        """See ``SlimShape``; the second convolution of a residual block adds to its stage."""
        found = {}
        for i, name in enumerate(self.names):
            found[name] = self.base_channels << i
            if name in _RESIDUAL:
                found[_RESIDUAL[name][0]] = self.base_channels << i
        return found

    def fixed(self) -> Mapping[str, int]:
        """See ``SlimShape``."""
        return {IMAGES: self.in_channels}

    def layers(self) -> tuple[Layer, ...]:
        """See ``SlimShape``; stages are pooled by 2 behind their convolution."""
        found = []
        for i, (name, at) in enumerate(zip(self.names, (IMAGES, *STAGES))):
            found.append(_layer(name, name, at, max(1, 1 << i >> 1)))
            if name in _RESIDUAL:
                first, second = _RESIDUAL[name]
                found += [_layer(first, first, name, 1 << i), _layer(second, name, first, 1 << i)]
        return tuple(found)

    def block_names(self) -> list[str]:
        """Names of the blocks' modules, each a convolution with its norm."""
        return [layer.name.removesuffix('.conv') for layer in self.layers()]


def _layer(name: str, writes: str, reads: str, scale: int) -> Layer:
    return Layer(f'{name}.conv', f'{name}.bn', writes, (reads,), kernel=3, scale=scale)


RESNET9 = register_family(
    slim_family(
        'ResNet-9',
        ResNet9Shape,
        [KeyStyle('ElasticResNet9', ('layer1_res.0.conv.weight', 'conv1.conv.weight'))],
    )
)


@MODELS.register_module()
class ElasticResNet9(SlimBackbone):
    """A slimmable ResNet-9.

    Args:
        space, sharing, tasks, arch, task: see ``ElasticPart`` and ``ElasticResNet``.
        in_channels: of the images.
        base_channels: of the first convolution at ratio 1.
        out_indices: which of the four stages' maps are returned; or task -> stages.
        norm_cfg: of batch norms.
        multiple: channels are rounded to multiples of it.
        stages: how many there are; by default up to the last one that any task takes.
        init_cfg: see ``ElasticPart``.
    """

    family = RESNET9

    def __init__(
        self,
        space: Mapping | Sequence[Mapping] | str | None = None,
        sharing: str | Mapping | None = None,
        tasks: Sequence[str] = (),
        arch: Mapping | str | None = None,
        task: str | None = None,
        in_channels: int = 3,
        base_channels: int = 64,
        out_indices: Sequence[int] | Mapping[str, Sequence[int]] = (3,),
        norm_cfg: Mapping | None = None,
        multiple: int = 1,
        stages: int | None = None,
        init_cfg: Mapping | None = None,
    ) -> None:
        shape = ResNet9Shape.of(
            dict(
                in_channels=in_channels,
                base_channels=base_channels,
                multiple=multiple,
                stages=stages,
                out_indices=out_indices,
            )
        )
        super().__init__(space, sharing, tasks, arch, task, init_cfg, shape, out_indices)
        norm_cfg, made = norm_cfg or dict(type='BN'), {}
        for layer in shape.layers():
            name = layer.name.removesuffix('.conv')
            made[name] = ConvNorm(layer, self.slim.largest, norm_cfg)
        for name in shape.names:
            self.add_module(name, made[name])
            if name in _RESIDUAL:
                inner = nn.Sequential(*(made[each] for each in _RESIDUAL[name]))
                self.add_module(f'{name}_res', inner)

    def output_widths(self) -> list[str]:
        """See ``SlimBackbone``."""
        return list(self.shape.names)

    def run_stage(self, stage: int, x: Tensor, counts: Mapping[str, int]) -> Tensor:
        """See ``SlimBackbone``."""
        name = STAGES[stage]
        x = self._run(name, x, counts[name])
        if stage:
            x = F.max_pool2d(x, 2, ceil_mode=True)
        if name in _RESIDUAL:
            first, second = _RESIDUAL[name]
            x = x + self._run(second, self._run(first, x, counts[first]), counts[name])
        return x

    def _run(self, name: str, x: Tensor, channels: int) -> Tensor:
        return F.relu(self.get_submodule(name)(x, channels), inplace=True)
