"""A family as a stranger might write one: a small MLP-Mixer (Tolstikhin et al., NeurIPS 2021).

Layers mix the tokens of each channel, then the channels of each token. There are no heads.
Shapes: B batch, N tokens, C channels, H W height and width of images, h w of the grid of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.backbone import of_task
from mdl_nas_mm.elastic.family import Family, NoStockClassError, TaskSetting, register_family
from mdl_nas_mm.elastic.importance import Reordering
from mdl_nas_mm.elastic.key_styles import KeyStyle
from mdl_nas_mm.elastic.layers import ElasticLayerNorm, ElasticLinear
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import Dimensions, ParamUse
from mdl_nas_mm.spec.dimensions import blocks_of, share_ratio, size
from mdl_nas_mm.spec.layout import linear_uses, vector_uses


@dataclass(frozen=True)
class MixerBlock:
    token_hidden: int = size('token width', whole=True)
    channel_hidden: int = size('channel width', whole=True)
    tokens_shared: float = share_ratio('shared between tokens')
    channels_shared: float = share_ratio('shared between channels', default='tokens_shared')


@dataclass(frozen=True)
class MixerStage:
    channel_width: int = size('width', whole=True)
    blocks: tuple[MixerBlock, ...] = blocks_of(MixerBlock)


MIXER_DIMENSIONS = Dimensions(MixerStage, roles=('norm', 'tokens', 'channels'))


@dataclass(frozen=True)
class MixerShape:
    """What is fixed: the side of a patch, and the grid that maps of all images are averaged to."""

    patch_size: int = 4
    in_channels: int = 3
    grid: int = 4

    @property
    def num_tokens(self) -> int:
        return self.grid**2


class MixerLayout:
    """Which part of which parameter an architecture uses."""

    def __init__(self, space, shape: MixerShape) -> None:
        self.space, self.shape = space, shape
        (self.largest,) = space.largest().stages

    def parts(self, spec) -> list[tuple]:
        (stage,) = spec.stages
        blocks = [(i, stage.channel_width, block) for i, block in enumerate(stage.blocks)]
        return [('stem', stage.channel_width), *blocks]

    def part_uses(self, part: tuple) -> tuple[ParamUse, ...]:
        width = self.largest.channel_width
        if part[0] == 'stem':
            patch = self.shape.in_channels * self.shape.patch_size**2
            uses = linear_uses('stem', 'stem', part[1], width, patch, patch, 1.0)
            return (*uses, *vector_uses('norm', 'stem', part[1], width))
        index, channels, block = part
        return tuple(self._block(f'blocks.{index}', self.largest.blocks[index], channels, block))

    def _block(self, name, largest: MixerBlock, channels: int, block: MixerBlock) -> list[ParamUse]:
        width, tokens = self.largest.channel_width, self.shape.num_tokens
        ratio = block.tokens_shared
        mixed, hidden = (tokens, tokens), (block.token_hidden, largest.token_hidden)
        uses = vector_uses(f'{name}.norm_tokens', 'norm', channels, width, ratio)
        uses += linear_uses(f'{name}.tokens.fc1', 'tokens', *hidden, *mixed, ratio)
        uses += linear_uses(f'{name}.tokens.fc2', 'tokens', *mixed, *hidden, ratio)
        ratio = block.channels_shared
        mixed, hidden = (channels, width), (block.channel_hidden, largest.channel_hidden)
        uses += vector_uses(f'{name}.norm_channels', 'norm', channels, width, ratio)
        uses += linear_uses(f'{name}.channels.fc1', 'channels', *hidden, *mixed, ratio)
        uses += linear_uses(f'{name}.channels.fc2', 'channels', *mixed, *hidden, ratio)
        return uses

    def uses(self, spec) -> tuple[ParamUse, ...]:
        return tuple(use for part in self.parts(spec) for use in self.part_uses(part))

    def flops(self, spec, input_size, attention_products=True, settings=None) -> int:
        (stage,), shape = spec.stages, self.shape
        height, width = (-(-side // shape.patch_size) for side in input_size)
        total = height * width * shape.in_channels * shape.patch_size**2 * stage.channel_width
        for block in stage.blocks:
            hidden = block.token_hidden + block.channel_hidden
            total += 2 * shape.num_tokens * stage.channel_width * hidden
        return total


@dataclass(frozen=True)
class MixerPart:
    """What is timed at once."""

    kind: str
    channel_width: int
    token_hidden: int | None = None
    channel_hidden: int | None = None


class MixerParts:
    """What a latency is made of."""

    kind = MixerPart

    def parts(self, spec) -> list[MixerPart]:
        (stage,) = spec.stages
        width = stage.channel_width
        blocks = [MixerPart('block', width, b.token_hidden, b.channel_hidden) for b in stage.blocks]
        return [MixerPart('stem', width), *blocks]

    def all_parts(self, space) -> list[MixerPart]:
        (stage,) = space.stages
        found = {}
        for width in stage.named['channel_width']:
            found[MixerPart('stem', width)] = None
            for block in stage.blocks:
                for b in block.with_every_size(block.extreme(-1, -1)):
                    found[MixerPart('block', width, b.token_hidden, b.channel_hidden)] = None
        return list(found)

    def covering_specs(self, space, rng):
        missing = set(self.all_parts(space))
        while missing:
            spec = space.sample(rng)
            if not missing.isdisjoint(self.parts(spec)):
                missing.difference_update(self.parts(spec))
                yield spec


def _block_names(spec, shape) -> list[str]:
    return [f'blocks.{i}' for i in range(spec.depth)]


def _reorderings(spec, shape) -> list[Reordering]:
    mlps = [
        f'{name}.{kind}' for name in _block_names(spec, shape) for kind in ('tokens', 'channels')
    ]
    return [Reordering(f'{name}.fc1', f'{name}.fc2') for name in mlps]


def _stock_model(backbone, scope, model):
    raise NoStockClassError(f'no class of {scope} averages its patches to one grid')


MIXER = register_family(
    Family(
        name='ToyMixer',
        dimensions=MIXER_DIMENSIONS,
        spaces={
            'toy-mixer': dict(
                channel_width=(16, 24),
                depth=(1, 2),
                token_hidden=(4, 8),
                channel_hidden=(16, 32),
                share_ratio=(0.3, 0.6),
            )
        },
        task_settings=dict(pooled=TaskSetting(default=False, is_output=True)),
        block_names=_block_names,
        styles=(
            KeyStyle(
                'timm Mixer',
                ('blocks.0.mlp_tokens.fc1.weight', 'stem.proj.weight'),
                (
                    (r'^stem\.proj\.', 'stem.'),
                    (r'\.norm1\.', '.norm_tokens.'),
                    (r'\.norm2\.', '.norm_channels.'),
                    (r'\.mlp_(tokens|channels)\.', r'.\1.'),
                ),
            ),
        ),
        reorderings=_reorderings,
        stock_model=_stock_model,
        timed_parts=lambda settings, shape: MixerParts(),
    )
)


class ElasticMLP(nn.Module):
    """Two linear layers, of whose hidden units a call says how many it uses."""

    def __init__(self, width: int, hidden: int, policy, tasks) -> None:
        super().__init__()
        self.fc1 = ElasticLinear(width, hidden, policy, tasks)
        self.fc2 = ElasticLinear(hidden, width, policy, tasks)

    def forward(self, x: Tensor, task, hidden: int, ratio: float) -> Tensor:
        """Maps (..., width) to (..., width)."""
        return self.fc2(F.gelu(self.fc1(x, task, hidden, ratio)), task, x.shape[-1], ratio)


class ElasticMixerBlock(nn.Module):
    def __init__(self, width: int, largest: MixerBlock, num_tokens: int, sharing, tasks) -> None:
        super().__init__()
        tokens, channels = sharing['tokens'], sharing['channels']
        self.norm_tokens = ElasticLayerNorm(width, sharing['norm'], tasks)
        self.tokens = ElasticMLP(num_tokens, largest.token_hidden, tokens, tasks)
        self.norm_channels = ElasticLayerNorm(width, sharing['norm'], tasks)
        self.channels = ElasticMLP(width, largest.channel_hidden, channels, tasks)

    def forward(self, x: Tensor, task, block: MixerBlock) -> Tensor:
        """Maps (B, N, C) to (B, N, C)."""
        y = self.norm_tokens(x, task, block.tokens_shared).transpose(1, 2)
        x = x + self.tokens(y, task, block.token_hidden, block.tokens_shared).transpose(1, 2)
        y = self.norm_channels(x, task, block.channels_shared)
        return x + self.channels(y, task, block.channel_hidden, block.channels_shared)


@MODELS.register_module()
class ToyMixer(ElasticBackbone):
    """A mixer whose width, depth and hidden widths are chosen in each call.

    Args:
        pooled: whether it returns the mean of the tokens (B, C) in place of a map (B, C, h, w);
            or task -> whether.
        out_channels: width of the output, zeros behind those of the architecture.
    """

    family = MIXER

    def __init__(
        self,
        space=None,
        sharing=None,
        tasks=(),
        arch=None,
        task=None,
        patch_size: int = 4,
        in_channels: int = 3,
        grid: int = 4,
        pooled=False,
        out_channels: int | None = None,
        init_cfg=None,
    ) -> None:
        super().__init__(space, sharing, tasks, arch, task, init_cfg)
        self.layout = MixerLayout(self.space, MixerShape(patch_size, in_channels, grid))
        largest, tokens = self.layout.largest, self.shape.num_tokens
        width = largest.channel_width
        self.pooled, self.out_channels = pooled, out_channels or width
        self.stem = nn.Conv2d(in_channels, width, patch_size, patch_size)
        self.blocks = nn.ModuleList(
            ElasticMixerBlock(width, block, tokens, self.sharing, self.tasks)
            for block in largest.blocks
        )
        self.norm = ElasticLayerNorm(width, self.sharing['stem'], ())

    def forward_subnet(self, x: Tensor, task, spec) -> tuple[Tensor, ...]:
        (stage,), patch = spec.stages, self.shape.patch_size
        x = F.pad(x, (0, -x.shape[3] % patch, 0, -x.shape[2] % patch))
        width = stage.channel_width
        x = F.conv2d(x, self.stem.weight[:width], self.stem.bias[:width], stride=patch)
        x = F.adaptive_avg_pool2d(x, self.shape.grid).flatten(2).transpose(1, 2)
        for module, block in zip(self.blocks, stage.blocks):
            x = module(x, task, block)
        x = F.pad(self.norm(x, None, 1.0), (0, self.out_channels - width))
        if of_task(self.pooled, task, 'pooled'):
            return (x.mean(1),)
        return (x.transpose(1, 2).unflatten(2, (self.shape.grid,) * 2).contiguous(),)

    def active_channels(self, task, spec) -> tuple[int, ...]:
        return (spec.stages[0].channel_width,)

    def settings_of(self, task, spec) -> dict:
        pooled = of_task(self.pooled, task, 'pooled')
        return dict(pooled=pooled, out_channels=self.out_channels)

    def depth_of(self, name: str) -> int | None:
        part, _, rest = name.partition('.')
        if part == 'blocks':
            return int(rest.partition('.')[0]) + 1
        return 0 if part == 'stem' else None

    def map_widths(self) -> list[tuple[int, int]]:
        return [(self.out_channels, self.arch.stages[0].channel_width)]

    def trial_sizes(self) -> list[tuple[int, int]]:
        side = self.shape.patch_size * self.shape.grid
        return [(side, side), (2 * side + 1, side + 3)]
