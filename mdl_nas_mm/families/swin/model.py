"""Elastic Swin transformer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
import torch.utils.checkpoint as checkpointing
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mdl_nas_mm.elastic.backbone import ElasticBackbone, check_sizes, of_task
from mdl_nas_mm.elastic.layers import ElasticLayerNorm
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.sharing import AllShared, Sharing
from mdl_nas_mm.spec import SubnetSpec

from ..transformer.dimensions import BlockSpec, StageSpec, derive_head_dim, hidden_features
from ..transformer.mlp import ElasticMLP
from ..transformer.patch_embed import ElasticPatchEmbed
from .family import SWIN
from .layout import SwinLayout
from .patch_merging import ElasticPatchMerging
from .shape import NORM_EPS, SwinShape
from .window_attention import ElasticWindowAttention

_SHARED = AllShared()


class ElasticSwinBlock(nn.Module):
    """Pre-norm block with attention in windows, shifted in every other block.

    With ``post_norm`` the sums of both residual connections are normalised as well.

    Args:
        index: in its stage.
        embed_dim: widest embedding of the stage.
        largest: the block of the most heads and the largest MLP ratio.
        head_dim: width of a head.
        qkv_bias: whether q, k and v have a bias.
        window: side of the windows in tokens.
        sharing: role -> sharing policy.
        tasks: which own specific weights.
        drop_path: rate of stochastic depth.
        post_norm: whether sums are normalised.
        smaller_windows: see ``ElasticWindowAttention``.
    """

    def __init__(
        self,
        index: int,
        embed_dim: int,
        largest: BlockSpec,
        *,
        head_dim: int,
        qkv_bias: bool,
        window: int,
        sharing: Sharing,
        tasks: Sequence[str],
        drop_path: float,
        post_norm: bool = False,
        smaller_windows: bool = False,
    ) -> None:
        super().__init__()
        self.is_shifted = index % 2 == 1
        norm = partial(ElasticLayerNorm, embed_dim, sharing['norm'], tasks, NORM_EPS)
        self.norm1 = norm()
        self.attn = ElasticWindowAttention(
            embed_dim,
            largest.num_heads,
            head_dim,
            window_size=window,
            policy=sharing['attn'],
            tasks=tasks,
            qkv_bias=qkv_bias,
            smaller_windows=smaller_windows,
        )
        self.norm2 = norm()
        hidden = hidden_features(embed_dim, largest.mlp_ratio)
        self.mlp = ElasticMLP(embed_dim, hidden, policy=sharing['ffn'], tasks=tasks)
        self.drop_path = DropPath(drop_path)
        self.post_norm1 = norm() if post_norm else None
        self.post_norm2 = norm() if post_norm else None

    def forward(self, x: Tensor, task: str | None, block: BlockSpec, pad_small_map: bool) -> Tensor:
        """Maps (B, H, W, C) to (B, H, W, C)."""
        attn, ffn = block.attn_share_ratio, block.ffn_share_ratio
        window, shift = self.windows_on(block, min(x.shape[1:3]), pad_small_map)
        y = self.attn(self.norm1(x, task, attn), task, block.num_heads, attn, window, shift)
        x = x + self.drop_path(y)
        if self.post_norm1 is not None:
            x = self.post_norm1(x, task, attn)
        hidden = hidden_features(x.shape[-1], block.mlp_ratio)
        x = x + self.drop_path(self.mlp(self.norm2(x, task, ffn), task, hidden, ffn))
        return x if self.post_norm2 is None else self.post_norm2(x, task, ffn)

    def windows_on(self, block: BlockSpec, side: int, pad_small_map: bool) -> tuple[int, int]:
        """Side and shift of the windows of a map with this shorter side.

        A map of a single window is not shifted, unless maps are padded.
        """
        window = self.attn.window_size
        if side < window and not pad_small_map:
            raise ValueError(
                f'a window of {window} x {window} is larger than the map, whose shorter side is '
                f'{side}; set pad_small_map=True, or give larger images or smaller windows'
            )
        alone = side == window and not pad_small_map
        return window, window // 2 if self.is_shifted and not alone else 0


class ElasticSwinStage(nn.Module):
    """The blocks of one stage and, but for the last stage, the merging behind them."""

    def __init__(self, blocks: Sequence[nn.Module], downsample: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample


@MODELS.register_module()
class ElasticSwin(ElasticBackbone):
    """Swin transformer whose widths, depths, heads and MLP ratios are chosen in each call.

    A backbone that returns maps of several stages, each padded with zeros to the widest
    embedding of its stage, so that necks and heads of one width serve every architecture. With
    a space of one architecture it is the published Swin.

    Args:
        space, sharing, tasks, arch, task: see ``ElasticPart``; one space a stage.
        img_size: shorter side in pixels of the smallest images that will come, if known: windows
            are then checked against it at once, not in the first step.
        patch_size: side of a patch in pixels.
        in_channels: channels of the images.
        head_dim: width of a head; None for the widest embedding over the most heads.
        window_size: side of the windows in tokens, for all stages or one a stage.
        qkv_bias: whether q, k and v have a bias.
        pad_small_map: whether maps smaller than a window are padded to one, as is usual for
            dense tasks, in place of an error; or task -> whether.
        out_indices: stages whose maps are returned, each with a norm of its own; or task ->
            such stages.
        out_channels: channels of each stage's map, also of those that are not returned; by
            default the widest embeddings.
        drop_path_rate: stochastic depth of the deepest block, linearly less before it.
        with_cp: recompute blocks in the backward pass instead of keeping their activations.
        init_cfg: see ``ElasticPart``.
    """

    family = SWIN

    def __init__(
        self,
        space: str | Sequence[Mapping] | None = None,
        sharing: str | Mapping | None = None,
        tasks: Sequence[str] = (),
        arch: Mapping | str | None = None,
        task: str | None = None,
        img_size: int | None = None,
        patch_size: int = 4,
        in_channels: int = 3,
        head_dim: int | None = 32,
        window_size: int | Sequence[int] = 7,
        qkv_bias: bool = True,
        pad_small_map: bool | Mapping[str, bool] = False,
        out_indices: int | Sequence[int] | Mapping[str, Sequence[int]] = (0, 1, 2, 3),
        out_channels: Sequence[int] | None = None,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        init_cfg: Mapping | None = None,
    ) -> None:
        super().__init__(space, sharing, tasks, arch, task, init_cfg)
        check_sizes(img_size=img_size, patch_size=patch_size, head_dim=head_dim)
        stages = self.space.stages
        windows = (window_size,) * len(stages) if isinstance(window_size, int) else window_size
        if len(windows) != len(stages):
            raise ValueError(f'window_size: {len(windows)} values for {len(stages)} stages')
        if min(windows) < 1:
            raise ValueError(f'window_size: a side of {min(windows)} tokens is not positive')
        self.out_indices = (out_indices,) if isinstance(out_indices, int) else out_indices
        self.pad_small_map = pad_small_map
        shape = SwinShape(
            patch_size=patch_size,
            in_channels=in_channels,
            head_dim=derive_head_dim(self.space, head_dim),
            window_sizes=tuple(windows),
            qkv_bias=qkv_bias,
            out_stages=self._out_stages(),
        )
        self.layout = SwinLayout(self.space, shape)
        if img_size is not None:
            self._check_windows(img_size)
        self.with_cp = with_cp

        largest = self.space.largest().stages
        widths = [stage.embed_dim for stage in largest]
        self.out_channels = tuple(widths if out_channels is None else out_channels)
        if len(self.out_channels) != len(widths) or any(map(int.__lt__, self.out_channels, widths)):
            raise ValueError(f'out_channels {out_channels} are not at least the widest, {widths}')
        self.patch_embed = ElasticPatchEmbed(in_channels, widths[0], patch_size, NORM_EPS)
        self._add_stages(largest, drop_path_rate)
        for s in shape.out_stages:
            self.add_module(f'norm{s}', ElasticLayerNorm(widths[s], _SHARED, (), NORM_EPS))

    def _add_stages(self, largest: Sequence[StageSpec], drop_path_rate: float) -> None:
        self.stages, shape = nn.ModuleList(), self.shape
        deepest, before = max(self.space.largest().depth - 1, 1), 0
        for s, stage in enumerate(largest):
            blocks = [
                ElasticSwinBlock(
                    i,
                    stage.embed_dim,
                    block,
                    head_dim=shape.head_dim,
                    qkv_bias=shape.qkv_bias,
                    window=shape.window_sizes[s],
                    sharing=self.sharing,
                    tasks=self.tasks,
                    drop_path=drop_path_rate * (before + i) / deepest,
                )
                for i, block in enumerate(stage.blocks)
            ]
            before += len(blocks)
            merging = None
            if s + 1 < len(largest):
                merging = ElasticPatchMerging(stage.embed_dim, largest[s + 1].embed_dim)
            self.stages.append(ElasticSwinStage(blocks, merging))

    def _out_stages(self) -> tuple[int, ...]:
        """Stages that any task's output needs, or ValueError."""
        indices, count = self.out_indices, len(self.space.stages)
        lists = indices.values() if isinstance(indices, Mapping) else [indices]
        for index in (i for wanted in lists for i in wanted):
            if not 0 <= index < count:
                raise ValueError(f'out_indices: {index} is not one of the {count} stages from 0')
        for key, value in (('out_indices', indices), ('pad_small_map', self.pad_small_map)):
            for task in self.tasks:
                of_task(value, task, key)
        return tuple(sorted({i for wanted in lists for i in wanted}))

    def _check_windows(self, side: int) -> None:
        padded = self.pad_small_map
        if all(padded.values()) if isinstance(padded, Mapping) else padded:
            return
        for s, (map_side, _) in enumerate(self.shape.maps((side, side))):
            if map_side < self.shape.window_sizes[s]:
                raise ValueError(
                    f'window_size {self.shape.window_sizes[s]} of stage {s} is larger than its '
                    f'map of {map_side} x {map_side} at img_size {side}; set pad_small_map=True'
                )

    def active_channels(self, task: str | None, spec: SubnetSpec) -> tuple[int, ...]:
        """Channels that each of a task's outputs has; those beyond are padding."""
        wanted = of_task(self.out_indices, task, 'out_indices')
        return tuple(spec.stages[stage].embed_dim for stage in wanted)

    def settings_of(self, task: str | None, spec: SubnetSpec) -> dict[str, Any]:
        """Arguments for a backbone of this class that gives what one task's subnet gives here."""
        return dict(
            out_indices=of_task(self.out_indices, task, 'out_indices'),
            pad_small_map=of_task(self.pad_small_map, task, 'pad_small_map'),
            out_channels=self.out_channels,
        )

    def map_widths(self) -> list[tuple[int, int]]:
        """For each map that ``arch`` returns, its width and that without the zeros behind it."""
        indices, stages = of_task(self.out_indices, self.task, 'out_indices'), self.arch.stages
        return [(self.out_channels[s], stages[s].embed_dim) for s in indices]

    def trial_sizes(self) -> list[tuple[int, int]]:
        """(height, width) of images with and without padding inside, to try it with."""
        patch, windows = self.shape.patch_size, self.shape.window_sizes
        # Whole windows in the last stage.
        side = patch * max(windows) << len(windows) - 1
        return [(side, side), (side + patch + 1, side + 1)]

    def depth_of(self, name: str) -> int | None:
        """How many blocks a parameter's own one is from the images; None after the last block.

        A merging of patches counts to the block before it.
        """
        part, *rest = name.split('.')
        if part != 'stages':
            return 0 if part == 'patch_embed' else None
        stage, kind, index = int(rest[0]), rest[1], rest[2]
        depths = [stage.depth[-1] for stage in self.space.stages]
        before = sum(depths[:stage])
        return before + int(index) + 1 if kind == 'blocks' else before + depths[stage]

    def forward_subnet(self, x: Tensor, task: str | None, spec: SubnetSpec) -> tuple[Tensor, ...]:
        """Maps of images (B, C, H, W), one a wanted stage: (B, widest of the stage, h, w)."""
        self.space.check(spec)
        wanted = of_task(self.out_indices, task, 'out_indices')
        pad_small_map = of_task(self.pad_small_map, task, 'pad_small_map')
        x, grid = self.patch_embed(x, spec.stages[0].embed_dim)
        x = x.unflatten(1, grid)
        outputs = {}
        modules = cast(Iterable[ElasticSwinStage], self.stages)
        for s, (module, stage) in enumerate(zip(modules, spec.stages)):
            for block_module, block in zip(module.blocks, stage.blocks):
                args = (x, task, block, pad_small_map)
                if self.with_cp and torch.is_grad_enabled():
                    x = cast(
                        Tensor, checkpointing.checkpoint(block_module, *args, use_reentrant=False)
                    )
                else:
                    x = block_module(*args)
            if s in wanted:
                outputs[s] = self.output_of(x, s)
            if module.downsample is not None:
                x = module.downsample(x, spec.stages[s + 1].embed_dim)
        return tuple(outputs[s] for s in wanted)

    def output_of(self, x: Tensor, stage: int) -> Tensor:
        """The output of a stage, (B, C, h, w), of its map (B, h, w, channels)."""
        x = getattr(self, f'norm{stage}')(x, None, 1.0)
        x = F.pad(x, (0, self.out_channels[stage] - x.shape[-1]))
        return x.permute(0, 3, 1, 2).contiguous()
