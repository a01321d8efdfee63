"""Elastic vision transformer in AutoFormer's shape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
import torch.utils.checkpoint as checkpointing
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mdl_nas_mm.elastic.backbone import ElasticBackbone, check_sizes, of_task
from mdl_nas_mm.elastic.layers import ElasticLayerNorm
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.sharing import Sharing
from mdl_nas_mm.spec import SubnetSpec

from ..transformer.attention import ElasticAttention
from ..transformer.dimensions import BlockSpec, StageSpec, derive_head_dim, hidden_features
from ..transformer.mlp import ElasticMLP
from ..transformer.patch_embed import ElasticPatchEmbed
from ..transformer.windows import cut, join, pad_to_windows
from .family import VIT
from .layout import ViTLayout, global_blocks
from .presets import completed
from .propagation import ElasticPropagation
from .shape import PROPAGATIONS, ViTShape

OUT_TYPES = ('cls_token', 'avg_featmap', 'featmap')


class ElasticBlock(nn.Module):
    """Pre-norm transformer block (as AutoFormer; the paper's Eq. 3 writes post-norm).

    Args:
        embed_dim: widest embedding.
        largest: the block of the most heads and the largest MLP ratio.
        shape: sizes that no architecture chooses.
        sharing: role -> sharing policy.
        tasks: which own specific weights.
        drop_path: rate of stochastic depth.
        norm_eps: epsilon of the layer norms.
    """

    def __init__(
        self,
        embed_dim: int,
        largest: BlockSpec,
        shape: ViTShape,
        *,
        sharing: Sharing,
        tasks: Sequence[str],
        drop_path: float,
        norm_eps: float,
    ) -> None:
        super().__init__()
        self.norm1 = ElasticLayerNorm(embed_dim, sharing['norm'], tasks, norm_eps)
        self.attn = ElasticAttention(
            embed_dim,
            largest.num_heads,
            shape.head_dim,
            policy=sharing['attn'],
            tasks=tasks,
            qkv_bias=shape.qkv_bias,
            max_relative_position=shape.max_relative_position,
        )
        self.norm2 = ElasticLayerNorm(embed_dim, sharing['norm'], tasks, norm_eps)
        hidden = hidden_features(embed_dim, largest.mlp_ratio)
        self.mlp = ElasticMLP(embed_dim, hidden, policy=sharing['ffn'], tasks=tasks)
        self.drop_path = DropPath(drop_path)

    def forward(
        self, x: Tensor, task: str | None, block: BlockSpec, grid: tuple[int, int], window: int
    ) -> Tensor:
        """Maps (B, N, C) to (B, N, C).

        Args:
            x: (B, N, C), where C is the width in use.
            task: whose weights to use.
            block: its heads, MLP ratio and share ratios in this call.
            grid: (height, width) in patches.
            window: side in patches of the windows that attention keeps to; 0 for none.
        """
        attn, ffn = block.attn_share_ratio, block.ffn_share_ratio
        y = self.norm1(x, task, attn)
        if window:
            y = self._attend_in_windows(y, task, block, grid, window)
        else:
            y = self.attn(y, task, block.num_heads, attn, grid)
        x = x + self.drop_path(y)
        hidden = hidden_features(x.shape[-1], block.mlp_ratio)
        return x + self.drop_path(self.mlp(self.norm2(x, task, ffn), task, hidden, ffn))

    def _attend_in_windows(
        self, x: Tensor, task: str | None, block: BlockSpec, grid: tuple[int, int], window: int
    ) -> Tensor:
        """Attention of (B, N, C) in windows; as in ViTDet, padding takes part in it."""
        maps = pad_to_windows(x.unflatten(1, grid), window)
        windows = cut(maps, window)
        args = (task, block.num_heads, block.attn_share_ratio, (window, window))
        y = self.attn(windows.flatten(0, 1), *args).view(windows.shape)
        return join(y, window, grid).flatten(1, 2)


@MODELS.register_module()
class ElasticViT(ElasticBackbone):
    """Vision transformer whose depth, width, heads and MLP ratios are chosen in each call.

    A backbone for mmpretrain (``out_type='cls_token'`` or ``'avg_featmap'``) and for dense tasks
    (``'featmap'``). Outputs are padded with zeros to ``out_channels``, so that heads of one width
    serve every architecture; for a linear map or a convolution this equals slicing its weight.

    Args:
        space, sharing, tasks, arch, task: see ``ElasticPart``.
        img_size: pixels, one side or (height, width), for which positions are stored; they are
            interpolated for other sizes.
        patch_size: side of a patch in pixels.
        in_channels: channels of the images.
        head_dim: width of a head; None for the widest embedding over the most heads.
        qkv_bias: whether q, k and v have a bias, by default True; ``'packed'`` cuts it to fewer
            heads as AutoFormer does, see ``PackedBias``.
        absolute_position: whether tokens have a position embedding.
        position_std: spread of the initial position embedding; small models on small data learn
            faster from a large one.
        max_relative_position: farthest distance in patches of the relative positions, by default
            14; 0 for none.
        class_token: whether there is a class token in front of the patches.
        out_type: output of all tasks, or task -> output: ``'cls_token'``, the class token (B, C),
            the default, ``'avg_featmap'``, the mean of the patches (B, C), or ``'featmap'``, maps
            (B, C, h, w).
        out_indices: blocks whose output is returned, of the deepest architecture, negative ones
            from the end; or task -> such blocks. A shallower architecture returns the blocks at
            the same fraction of its depth. The final norm is applied to the last block only.
        window_size: side in patches of the windows that attention keeps to but in four evenly
            spaced blocks, as in ViTDet, without the class token; 0 for attention over the whole
            image; or task -> such a side.
        global_attention: whether these four attend over the whole image; or task -> that.
        propagation: residual convolutions behind these four blocks, of weights that each task has
            of its own: ``'naive'``, one of 3 x 3, ``'basic'``, two, ``'bottleneck'``, one of 3 x 3
            of half the width between two of 1 x 1, or ``'none'``; or task -> that. ViTDet has
            either these or attention over the whole image.
        out_channels: width of the outputs; the widest embedding by default.
        norm_eps: epsilon of the layer norms, by default 1e-6.
        drop_path_rate: stochastic depth of the deepest block, linearly less before it.
        with_cp: recompute blocks in the backward pass instead of keeping their activations.
        init_cfg: see ``ElasticPart``.
        preset: ``autoformer`` or ``deit``, whose settings to have in place of the defaults where
            ``qkv_bias``, ``max_relative_position``, ``out_type`` or ``norm_eps`` is not given.
    """

    family = VIT

    def __init__(
        self,
        space: str | Mapping | Sequence[Mapping] | None = None,
        sharing: str | Mapping | None = None,
        tasks: Sequence[str] = (),
        arch: Mapping | str | None = None,
        task: str | None = None,
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        head_dim: int | None = 64,
        qkv_bias: bool | str | None = None,
        absolute_position: bool = True,
        position_std: float = 0.02,
        max_relative_position: int | None = None,
        class_token: bool = True,
        out_type: str | Mapping[str, str] | None = None,
        out_indices: int | Sequence[int] | Mapping[str, Sequence[int]] = (-1,),
        window_size: int | Mapping[str, int] = 0,
        global_attention: bool | Mapping[str, bool] = True,
        propagation: str | Mapping[str, str] = 'none',
        out_channels: int | None = None,
        norm_eps: float | None = None,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        init_cfg: Mapping | None = None,
        preset: str | None = None,
    ) -> None:
        super().__init__(space, sharing, tasks, arch, task, init_cfg)
        settings = completed(
            preset,
            dict(
                qkv_bias=qkv_bias,
                max_relative_position=max_relative_position,
                out_type=out_type,
                norm_eps=norm_eps,
            ),
        )
        if settings['qkv_bias'] not in (True, False, 'packed'):
            raise ValueError(f"qkv_bias is {qkv_bias!r}, expected True, False or 'packed'")
        eps = settings['norm_eps']
        check_sizes(img_size=img_size, patch_size=patch_size, head_dim=head_dim)
        size = (img_size, img_size) if isinstance(img_size, int) else tuple(img_size)
        shape = ViTShape(
            img_size=size,
            patch_size=patch_size,
            in_channels=in_channels,
            head_dim=derive_head_dim(self.space, head_dim),
            qkv_bias=settings['qkv_bias'],
            absolute_position=absolute_position,
            max_relative_position=settings['max_relative_position'],
            class_token=class_token,
        )
        self.global_attention, self.propagation = global_attention, propagation
        propagations = self._propagations()
        self.layout = ViTLayout(self.space, shape, propagations)
        (largest,) = self.space.largest().stages
        width = largest.embed_dim
        self.out_channels = width if out_channels is None else out_channels
        if self.out_channels < width:
            raise ValueError(f'out_channels {out_channels} is less than the widest, {width}')
        self.with_cp = with_cp
        sizes = window_size.values() if isinstance(window_size, Mapping) else [window_size]
        if min(sizes) < 0:
            raise ValueError(f'window_size: a side of {min(sizes)} patches is negative')
        self.window_size = window_size
        indices = (out_indices,) if isinstance(out_indices, int) else out_indices
        self._set_outputs(settings['out_type'], indices)

        self.patch_embed = ElasticPatchEmbed(in_channels, width, patch_size)
        self._add_tokens(width, position_std)
        self._add_blocks(largest, drop_path_rate, eps)
        self.norm = ElasticLayerNorm(width, self.sharing['stem'], (), eps)
        self.propagations = nn.ModuleDict()
        for kind, tasks in propagations.items():
            policy = self.sharing['own' if tasks else 'stem']
            self.propagations[kind] = nn.ModuleList(
                ElasticPropagation(kind, width, policy, tasks, eps)
                for _ in global_blocks(len(largest.blocks))
            )

    def _add_tokens(self, width: int, position_std: float) -> None:
        """The class token and the positions, as far as the shape has them."""
        shape = self.shape
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width)) if shape.class_token else None
        self.pos_embed = None
        if shape.absolute_position:
            tokens = shape.grid[0] * shape.grid[1] + shape.class_token
            self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))
            nn.init.trunc_normal_(self.pos_embed, std=position_std, a=-2, b=2)
        if self.cls_token is not None:
            nn.init.trunc_normal_(self.cls_token, std=0.02)

    def _add_blocks(self, largest: StageSpec, drop_path_rate: float, norm_eps: float) -> None:
        last = max(len(largest.blocks) - 1, 1)
        self.blocks = nn.ModuleList(
            ElasticBlock(
                largest.embed_dim,
                block,
                self.shape,
                sharing=self.sharing,
                tasks=self.tasks,
                drop_path=drop_path_rate * i / last,
                norm_eps=norm_eps,
            )
            for i, block in enumerate(largest.blocks)
        )

    def _propagations(self) -> dict[str, tuple[str, ...]]:
        """Kind of propagation -> the tasks that own one; none in a backbone without tasks."""
        found: dict[str, tuple[str, ...]] = {}
        for task in self.tasks or (self.task,):
            kind = of_task(self.propagation, task, 'propagation')
            if kind != 'none' and kind not in PROPAGATIONS:
                raise ValueError(f"propagation {kind!r} is not 'none' or one of {[*PROPAGATIONS]}")
            if kind != 'none':
                found[kind] = tuple(t for t in self.tasks if t in (*found.get(kind, ()), task))
        return found

    def _set_outputs(
        self,
        out_type: str | Mapping[str, str],
        out_indices: Sequence[int] | Mapping[str, Sequence[int]],
    ) -> None:
        depth = self.space.largest().depth
        types = [out_type] if isinstance(out_type, str) else out_type.values()
        for kind in types:
            if kind not in OUT_TYPES:
                raise ValueError(f'out_type {kind!r} is not one of {OUT_TYPES}')
            if kind == 'cls_token' and not self.shape.class_token:
                raise ValueError("out_type 'cls_token' needs class_token=True")
        per_task = dict(
            out_type=out_type,
            out_indices=out_indices,
            window_size=self.window_size,
            global_attention=self.global_attention,
        )
        for key, value in per_task.items():
            for task in self.tasks:
                of_task(value, task, key)
        for task in self.tasks or (self.task,):
            kind = of_task(out_type, task, 'out_type')
            if kind == 'cls_token' and of_task(self.window_size, task, 'window_size'):
                raise ValueError("out_type 'cls_token' needs window_size=0: windows drop the token")
        lists = out_indices.values() if isinstance(out_indices, Mapping) else [out_indices]
        for index in (i for indices in lists for i in indices):
            if not -depth <= index < depth:
                raise ValueError(f'out_indices: {index} is beyond the depth of {depth} blocks')
        self.out_type, self.out_indices = out_type, out_indices

    def forward_subnet(self, x: Tensor, task: str | None, spec: SubnetSpec) -> tuple[Tensor, ...]:
        """Features of images (B, C, H, W), one a wanted block: (B, out_channels[, h, w])."""
        self.space.check(spec)
        (stage,) = spec.stages
        wanted = self.wanted_blocks(task, spec)
        window = of_task(self.window_size, task, 'window_size')
        x, grid = self.embed(x, stage.embed_dim, class_token=not window)
        places, outputs = sorted(global_blocks(spec.depth)), {}
        whole = places if self.attends_globally(task) else []
        kind = of_task(self.propagation, task, 'propagation')
        behind = {} if kind == 'none' else dict(zip(places, self._behind(kind)))
        for i, (module, block) in enumerate(zip(self.blocks, stage.blocks)):
            x = self._run(module, x, task, block, grid, 0 if i in whole else window)
            if i in behind:
                x = self._run(behind[i], x, task, grid)
            if i in wanted:
                last = i == len(stage.blocks) - 1
                outputs[i] = self.output_of(self.norm(x, None, 1.0) if last else x, task, grid)
        return tuple(outputs[i] for i in wanted)

    def _run(self, module: nn.Module, *args: Any) -> Tensor:
        """What a module gives, computed once more in the backward pass where that is wanted."""
        if self.with_cp and torch.is_grad_enabled():
            return cast(Tensor, checkpointing.checkpoint(module, *args, use_reentrant=False))
        return module(*args)

    def _behind(self, kind: str) -> nn.ModuleList:
        return cast(nn.ModuleList, self.propagations[kind])

    def attends_globally(self, task: str | None) -> bool:
        """Whether some blocks attend over the whole image where the others keep to windows."""
        return of_task(self.global_attention, task, 'global_attention')

    def wanted_blocks(self, task: str | None, spec: SubnetSpec) -> list[int]:
        """The blocks of an architecture that ``out_indices`` mean, by fraction of its depth."""
        indices = of_task(self.out_indices, task, 'out_indices')
        deepest, depth = len(self.blocks), spec.depth
        return [math.ceil((i % deepest + 1) * depth / deepest) - 1 for i in indices]

    def active_channels(self, task: str | None, spec: SubnetSpec) -> tuple[int, ...]:
        """Channels that each of a task's outputs has; those beyond are padding."""
        return (spec.stages[0].embed_dim,) * len(self.wanted_blocks(task, spec))

    def settings_of(self, task: str | None, spec: SubnetSpec) -> dict[str, Any]:
        """Arguments for a backbone of this class that gives what one task's subnet gives here."""
        found = dict(
            out_type=of_task(self.out_type, task, 'out_type'),
            out_indices=self.wanted_blocks(task, spec),
            window_size=of_task(self.window_size, task, 'window_size'),
            out_channels=self.out_channels,
        )
        # What is of no task here is left out, so that a deposit is as it was without them.
        if self.global_attention is not True:
            found['global_attention'] = self.attends_globally(task)
        if self.propagation != 'none':
            found['propagation'] = of_task(self.propagation, task, 'propagation')
        return found

    def depth_of(self, name: str) -> int | None:
        """How many blocks a parameter's own one is from the images; None after the last block."""
        part, _, rest = name.partition('.')
        if part in ('patch_embed', 'cls_token', 'pos_embed'):
            return 0
        if part == 'propagations':
            places = sorted(global_blocks(len(self.blocks)))
            return places[int(rest.split('.')[1])] + 1
        return int(rest.partition('.')[0]) + 1 if part == 'blocks' else None

    def map_widths(self) -> list[tuple[int, int]]:
        """For each map that ``arch`` returns, its width and that without the zeros behind it."""
        indices = of_task(self.out_indices, self.task, 'out_indices')
        return [(self.out_channels, self.arch.stages[0].embed_dim)] * len(indices)

    def trial_sizes(self) -> list[tuple[int, int]]:
        """(height, width) of images with and without padding inside, to try it with."""
        (height, width), patch = self.shape.img_size, self.shape.patch_size
        return [(height, width), (height + patch + 1, width + 1)]

    def embed(self, x: Tensor, embed_dim: int, class_token: bool) -> tuple[Tensor, tuple[int, int]]:
        """Tokens (B, N, embed_dim) of images, with their positions, and the grid (h, w)."""
        x, grid = self.patch_embed(x, embed_dim)
        # Without the class token its position falls away too.
        dropped = int(self.shape.class_token)
        if class_token and self.cls_token is not None:
            dropped = 0
            x = torch.cat((self.cls_token[..., :embed_dim].expand(x.shape[0], -1, -1), x), dim=1)
        if self.pos_embed is not None:
            x = x + self._positions(self.pos_embed, grid)[:, dropped:, :embed_dim]
        return x, grid

    def _positions(self, stored: Tensor, grid: tuple[int, int]) -> Tensor:
        """The position embedding (1, tokens, width) for a grid, interpolated where it differs."""
        if grid == self.shape.grid:
            return stored
        special = int(self.shape.class_token)
        patches = stored[:, special:].transpose(1, 2).unflatten(2, self.shape.grid)
        patches = F.interpolate(patches, grid, mode='bicubic', align_corners=False)
        return torch.cat((stored[:, :special], patches.flatten(2).transpose(1, 2)), dim=1)

    def output_of(self, x: Tensor, task: str | None, grid: tuple[int, int]) -> Tensor:
        """What a task gets of the tokens (B, N, C) behind a block, the last one's normalised."""
        kind = of_task(self.out_type, task, 'out_type')
        x = F.pad(x, (0, self.out_channels - x.shape[-1]))
        if kind == 'cls_token':
            return x[:, 0]
        patches = x[:, x.shape[1] - grid[0] * grid[1] :]
        if kind == 'avg_featmap':
            return patches.mean(dim=1)
        return patches.transpose(1, 2).unflatten(2, grid).contiguous()
