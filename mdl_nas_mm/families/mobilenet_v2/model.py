"""A MobileNetV2 whose layers each have a width of their own, and that upstream's weights fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mdl_nas_mm.registry import MODELS

from ..slimmable.backbone import SlimBackbone
from ..slimmable.layers import ConvNorm
from ..slimmable.layout import Layer
from .family import MOBILENET_V2
from .shape import STRIDES, MobileNetV2Shape


class InvertedResidual(nn.Module):
    """An inverted residual block, with upstream's keys.

    Args:
        layers: its convolutions.
        counts: width -> channels.
        norm_cfg: see ``make_norm``.
        is_added: whether the output is added to the input.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        counts: Mapping[str, int],
        norm_cfg: Mapping,
        is_added: bool,
    ) -> None:
        super().__init__()
        self.is_added = is_added
        self.writes = tuple(layer.writes for layer in layers)
        self.conv = nn.ModuleList(ConvNorm(layer, counts, norm_cfg) for layer in layers)

    def forward(self, x: Tensor, channels: Sequence[int]) -> Tensor:
        """Maps (B, C, H, W) to (B, channels[-1], h, w).

        Args:
            x: the map.
            channels: that each convolution writes.
        """
        y = x
        for i, (conv, count) in enumerate(zip(self.conv, channels), 1):
            y = conv(y, count)
            y = F.relu6(y, inplace=True) if i < len(channels) else y
        return x + y if self.is_added else y


@MODELS.register_module()
class ElasticMobileNetV2(SlimBackbone):
    """A slimmable MobileNetV2.

    With all ratios 1 it is the ``MobileNetV2`` of mmseg, with ``conv2`` that of mmpretrain and
    mmdet, and has their keys. Which layers share a width: docs/slimmable.md.

    Args:
        space, sharing, tasks, arch, task: see ``ElasticPart`` and ``ElasticResNet``.
        in_channels: of the images.
        widen_factor: channels at ratio 1 over those of the paper, as upstream's.
        strides, dilations: of the first block of each of the seven stages.
        conv2: whether there is a last 1 x 1 convolution, stage 7.
        out_indices: stages whose maps are returned, counted from 0; or task -> stages.
        frozen_stages: up to which stage nothing is trained, 0 for the first convolution; -1 for
            none.
        norm_cfg: of batch norms.
        norm_eval: whether they stay in evaluation mode.
        with_cp: whether blocks are computed anew in the backward pass, to save memory.
        multiple: channels are rounded to multiples of it.
        stages: how many there are; by default up to the last one that any task takes.
        init_cfg: see ``ElasticPart``.
    """

    family = MOBILENET_V2

    def __init__(
        self,
        space: Mapping | Sequence[Mapping] | str | None = None,
        sharing: str | Mapping | None = None,
        tasks: Sequence[str] = (),
        arch: Mapping | str | None = None,
        task: str | None = None,
        in_channels: int = 3,
        widen_factor: float = 1.0,
        strides: Sequence[int] = STRIDES,
        dilations: Sequence[int] = (1,) * 7,
        conv2: bool = False,
        out_indices: Sequence[int] | Mapping[str, Sequence[int]] = (6,),
        frozen_stages: int = -1,
        norm_cfg: Mapping | None = None,
        norm_eval: bool = False,
        with_cp: bool = False,
        multiple: int = 1,
        stages: int | None = None,
        init_cfg: Mapping | None = None,
    ) -> None:
        shape = MobileNetV2Shape.of(
            dict(
                in_channels=in_channels,
                widen_factor=widen_factor,
                strides=tuple(strides),
                dilations=tuple(dilations),
                conv2=conv2,
                multiple=multiple,
                stages=stages,
                out_indices=out_indices,
            )
        )
        super().__init__(space, sharing, tasks, arch, task, init_cfg, shape, out_indices)
        self.norm_cfg = dict(norm_cfg or dict(type='BN', requires_grad=True))
        counts, layers = self.slim.largest, {layer.name: layer for layer in shape.layers()}
        self.conv1 = ConvNorm(layers['conv1.conv'], counts, self.norm_cfg)
        blocks: dict[str, list[InvertedResidual]] = {}
        for name in shape.block_names():
            if name == 'conv2':
                self.conv2 = ConvNorm(layers['conv2.conv'], counts, self.norm_cfg)
                continue
            own = [layer for layer in shape.layers() if layer.name.startswith(f'{name}.')]
            is_added = own[-1].writes == own[0].reads[0]
            block = InvertedResidual(own, counts, self.norm_cfg, is_added)
            blocks.setdefault(name.partition('.')[0], []).append(block)
        for name, own in blocks.items():
            self.add_module(name, nn.Sequential(*own))
        self.stages = tuple(blocks)
        self.frozen_stages, self.norm_eval, self.with_cp = frozen_stages, norm_eval, with_cp
        self.train()

    def output_widths(self) -> list[str]:
        """See ``SlimBackbone``."""
        return self.shape.outputs()

    def run_stage(self, stage: int, x: Tensor, counts: Mapping[str, int]) -> Tensor:
        """See ``SlimBackbone``."""
        if stage == len(self.stages):
            return F.relu6(self.conv2(x, counts['conv2']), inplace=True)
        if stage == 0:
            x = F.relu6(self.conv1(x, counts['conv1']), inplace=True)
        return self.run_blocks(self.get_submodule(self.stages[stage]), x, counts)

    def frozen_modules(self) -> list[nn.Module]:
        """See ``SlimBackbone``."""
        if self.frozen_stages < 0:
            return []
        return [self.conv1, *map(self.get_submodule, self.stages[: self.frozen_stages])]
