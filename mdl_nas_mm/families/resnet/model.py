"""A ResNet whose layers each have a width of their own, and that upstream's weights fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mdl_nas_mm.registry import MODELS

from ..slimmable.backbone import SlimBackbone
from ..slimmable.layers import make_conv, make_norm
from ..slimmable.layout import Layer
from .family import RESNET
from .shape import ResNetShape


class ResidualBlock(nn.Module):
    """A basic block or a bottleneck, with upstream's keys.

    Args:
        layers: name in the block -> its convolutions, and perhaps ``downsample.0``.
        counts: width -> channels.
        norm_cfg: see ``make_norm``.
        zero_init: whether the last norm starts at zero, so that the block does nothing.
    """

    def __init__(
        self,
        layers: Mapping[str, Layer],
        counts: Mapping[str, int],
        norm_cfg: Mapping,
        zero_init: bool,
    ) -> None:
        super().__init__()
        own = dict(layers)
        down = own.pop('downsample.0', None)
        self.depth = len(own)
        # In the order of upstream's arguments: all widths that a call is told.
        self.writes = tuple(layer.writes for layer in own.values())
        for i, layer in enumerate(own.values(), 1):
            self.add_module(f'conv{i}', make_conv(layer, counts))
            self.add_module(f'bn{i}', make_norm(layer, counts, norm_cfg))
        if zero_init:
            nn.init.zeros_(getattr(self, f'bn{self.depth}').weight)
        self.downsample = None
        if down is not None:
            parts = make_conv(down, counts), make_norm(down, counts, norm_cfg)
            self.downsample = nn.Sequential(*parts)

    def forward(self, x: Tensor, channels: Sequence[int]) -> Tensor:
        """Maps (B, C, H, W) to (B, channels[-1], h, w).

        Args:
            x: the map.
            channels: that each convolution writes.
        """
        y, shortcut = x, x
        for i, count in enumerate(channels, 1):
            y = getattr(self, f'bn{i}')(getattr(self, f'conv{i}')(y, count))
            y = F.relu(y, inplace=True) if i < self.depth else y
        if self.downsample is not None:
            conv, norm = self.downsample
            shortcut = norm(conv(x, channels[-1]))
        return F.relu(y.add_(shortcut), inplace=True)


@MODELS.register_module()
class ElasticResNet(SlimBackbone):
    """A slimmable ResNet.

    With all ratios 1 it is the ``ResNet`` of mmpretrain, mmdet and mmseg, with ``deep_stem`` their
    ``ResNetV1c``, and has their keys. Which layers share a width: docs/slimmable.md.

    Args:
        depth: 18, 34, 50 or 101.
        space, sharing, tasks, arch, task: see ``ElasticPart``. ``space`` is
            ``dict(width_ratio=(0.6, ..., 1.0))``, or one tuple for each width.
        in_channels: of the images.
        stem_channels, base_channels: of the stem and of the first stage at ratio 1.
        num_stages: the first ones.
        strides, dilations: of each stage.
        out_indices: stages whose maps are returned; or task -> stages.
        style: whether the 3 x 3 (``pytorch``) or the first 1 x 1 convolution (``caffe``) of a
            bottleneck has the stride.
        deep_stem: three 3 x 3 convolutions in place of one of 7 x 7.
        contract_dilation: whether the first block of a dilated stage has half the dilation.
        frozen_stages: up to which stage nothing is trained, 0 for the stem alone; -1 for none.
        norm_cfg: of batch norms.
        norm_eval: whether they stay in evaluation mode.
        with_cp: whether blocks are computed anew in the backward pass, to save memory.
        zero_init_residual: whether the last norm of each block starts at zero.
        multiple: channels are rounded to multiples of it.
        stages: how many there are; by default up to the last one that any task takes.
        init_cfg: see ``ElasticPart``.
    """

    family = RESNET

    def __init__(
        self,
        depth: int = 18,
        space: Mapping | Sequence[Mapping] | str | None = None,
        sharing: str | Mapping | None = None,
        tasks: Sequence[str] = (),
        arch: Mapping | str | None = None,
        task: str | None = None,
        in_channels: int = 3,
        stem_channels: int = 64,
        base_channels: int = 64,
        num_stages: int = 4,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        out_indices: Sequence[int] | Mapping[str, Sequence[int]] = (0, 1, 2, 3),
        style: str = 'pytorch',
        deep_stem: bool = False,
        contract_dilation: bool = False,
        frozen_stages: int = -1,
        norm_cfg: Mapping | None = None,
        norm_eval: bool = False,
        with_cp: bool = False,
        zero_init_residual: bool = True,
        multiple: int = 1,
        stages: int | None = None,
        init_cfg: Mapping | None = None,
    ) -> None:
        if num_stages != len(strides):
            raise ValueError(f'num_stages is {num_stages}, strides are {strides}')
        shape = ResNetShape.of(
            dict(
                depth=depth,
                in_channels=in_channels,
                stem_channels=stem_channels,
                base_channels=base_channels,
                strides=tuple(strides),
                dilations=tuple(dilations),
                style=style,
                deep_stem=deep_stem,
                contract_dilation=contract_dilation,
                multiple=multiple,
                stages=stages,
                out_indices=out_indices,
            )
        )
        super().__init__(space, sharing, tasks, arch, task, init_cfg, shape, out_indices)
        self.norm_cfg = norm_cfg = dict(norm_cfg or dict(type='BN', requires_grad=True))
        counts = self.slim.largest
        layers = {layer.name: layer for layer in shape.layers()}
        if deep_stem:
            stem = []
            for i in (0, 3, 6):
                layer = layers[f'stem.{i}']
                conv, norm = make_conv(layer, counts), make_norm(layer, counts, norm_cfg)
                stem += [conv, norm, nn.ReLU(inplace=True)]
            self.stem = nn.Sequential(*stem)
        else:
            self.conv1 = make_conv(layers['conv1'], counts)
            self.bn1 = make_norm(layers['conv1'], counts, norm_cfg)
        for i in range(shape.stages):
            names = [n for n in shape.block_names() if n.startswith(f'layer{i + 1}.')]
            blocks = (
                ResidualBlock(_inside(layers, name), counts, norm_cfg, zero_init_residual)
                for name in names
            )
            self.add_module(f'layer{i + 1}', nn.Sequential(*blocks))
        self.frozen_stages, self.norm_eval, self.with_cp = frozen_stages, norm_eval, with_cp
        self.train()

    def output_widths(self) -> list[str]:
        """See ``SlimBackbone``."""
        return self.shape.outputs()

    def run_stage(self, stage: int, x: Tensor, counts: Mapping[str, int]) -> Tensor:
        """See ``SlimBackbone``."""
        if stage == 0:
            x = F.max_pool2d(self._run_stem(x, counts), 3, 2, 1)
        return self.run_blocks(self.get_submodule(f'layer{stage + 1}'), x, counts)

    def _run_stem(self, x: Tensor, counts: Mapping[str, int]) -> Tensor:
        convs = [layer for layer in self.shape.layers() if layer.name in _STEM]
        for layer in convs:
            conv, norm = self.get_submodule(layer.name), self.get_submodule(layer.norm)
            x = F.relu(norm(conv(x, counts[layer.writes])), inplace=True)
        return x

    def frozen_modules(self) -> list[nn.Module]:
        """See ``SlimBackbone``."""
        if self.frozen_stages < 0:
            return []
        deep = self.shape.deep_stem
        frozen = min(self.frozen_stages, self.shape.stages)
        stages = [self.get_submodule(f'layer{i}') for i in range(1, frozen + 1)]
        return [*([self.stem] if deep else [self.conv1, self.bn1]), *stages]


_STEM = ('conv1', 'stem.0', 'stem.3', 'stem.6')


def _inside(layers: Mapping[str, Layer], block: str) -> dict[str, Layer]:
    """The layers of a block by their names in it."""
    start = f'{block}.'
    return {n.removeprefix(start): layer for n, layer in layers.items() if n.startswith(start)}
