"""What an architecture of ``ElasticSwin`` uses, in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from mdl_nas_mm.spec import ParamUse, SearchSpace, SubnetSpec
from mdl_nas_mm.spec.layout import linear_uses, vector_uses

from ..transformer.dimensions import BlockSpec, hidden_features
from .shape import SwinShape


class SwinLayout:
    """Layout of ``ElasticSwin``."""

    def __init__(self, space: SearchSpace, shape: SwinShape) -> None:
        self.space = space
        self.shape = shape
        self.largest = space.largest().stages
        self.part_uses = lru_cache(None)(self.part_uses)

    def __reduce__(self) -> tuple:
        # What was remembered stays behind; it can be neither pickled nor copied.
        return SwinLayout, (self.space, self.shape)

    def parts(self, spec: SubnetSpec) -> list[tuple]:
        """Keys of the independent parts of an architecture, for ``part_uses``."""
        parts: list[tuple] = [('stem', spec.stages[0].embed_dim)]
        for s, stage in enumerate(spec.stages):
            dim = stage.embed_dim
            # Plain numbers: their hashes are far cheaper than those of BlockSpecs.
            parts += [
                (s, i, dim, b.num_heads, b.mlp_ratio, b.attn_share_ratio, b.ffn_share_ratio)
                for i, b in enumerate(stage.blocks)
            ]
            after = spec.stages[s + 1].embed_dim if s + 1 < len(spec.stages) else None
            parts.append(('end', s, dim, after))
        return parts

    def part_uses(self, part: tuple) -> tuple[ParamUse, ...]:
        """Every parameter that a part uses."""
        if part[0] == 'stem':
            return tuple(self._stem(part[1]))
        if part[0] == 'end':
            return tuple(self._end(*part[1:]))
        stage, index, dim, *block = part
        return tuple(self._block(stage, index, dim, BlockSpec(*block)))

    def uses(self, spec: SubnetSpec) -> tuple[ParamUse, ...]:
        """Every parameter that ``spec`` uses."""
        return tuple(use for part in self.parts(spec) for use in self.part_uses(part))

    def _stem(self, dim: int) -> list[ParamUse]:
        width = self.largest[0].embed_dim
        patch = self.shape.in_channels * self.shape.patch_size**2
        uses = linear_uses('patch_embed.proj', 'stem', dim, width, patch, patch, 1.0)
        return uses + vector_uses('patch_embed.norm', 'stem', dim, width)

    def _end(self, stage: int, dim: int, after: int | None) -> list[ParamUse]:
        """The norm of a stage's output and the merging behind the stage, where there are any."""
        width, uses = self.largest[stage].embed_dim, []
        if stage in self.shape.out_stages:
            uses += vector_uses(f'norm{stage}', 'stem', dim, width)
        if after is not None:
            name, max_after = f'stages.{stage}.downsample', self.largest[stage + 1].embed_dim
            uses += vector_uses(f'{name}.norm', 'stem', 4 * dim, 4 * width)
            size = (after, max_after, 4 * dim, 4 * width)
            uses += linear_uses(f'{name}.reduction', 'stem', *size, 1.0, bias=False)
        return uses

    def _block(self, stage: int, index: int, dim: int, block: BlockSpec) -> list[ParamUse]:
        name, whole = f'stages.{stage}.blocks.{index}', self.largest[stage]
        largest = whole.blocks[index]
        table = f'{name}.attn.relative_position_bias_table'
        offsets = (2 * self.shape.window_sizes[stage] - 1) ** 2
        biases = ParamUse(table, 'stem', 1, offsets, largest.num_heads, offsets, block.num_heads)
        sizes = (dim, block), (whole.embed_dim, largest)
        return block_uses(name, *sizes, self.shape.head_dim, self.shape.qkv_bias, biases)

    def flops(
        self,
        spec: SubnetSpec,
        input_size: tuple[int, int],
        attention_products: bool = True,
        settings: Mapping[str, Any] | None = None,
    ) -> int:
        """Multiply-adds of one image of ``input_size`` (height, width).

        Counts convolutions and matrix products, the ones on tokens that pad a map to whole
        windows included. With ``attention_products`` also q k^T and the attention times v.
        """
        shape, maps = self.shape, self.shape.maps(input_size)
        patch = shape.in_channels * shape.patch_size**2
        total = maps[0][0] * maps[0][1] * patch * spec.stages[0].embed_dim
        for s, (stage, (height, width)) in enumerate(zip(spec.stages, maps)):
            dim, window = stage.embed_dim, shape.window_sizes[s]
            for block in stage.blocks:
                total += block_flops(
                    (height, width), dim, block, shape.head_dim, window, attention_products
                )
            if s + 1 < len(maps):
                merged = maps[s + 1][0] * maps[s + 1][1] * 4 * dim
                total += merged * spec.stages[s + 1].embed_dim
        return total


def block_uses(
    name: str,
    used: tuple[int, BlockSpec],
    largest: tuple[int, BlockSpec],
    head_dim: int,
    qkv_bias: bool,
    biases: ParamUse,
) -> list[ParamUse]:
    """Every parameter of a block but the norms of its sums.

    Args:
        name: of its module.
        used: width of the stage, and the block.
        largest: the same of the largest architecture.
        head_dim, qkv_bias: see ``SwinShape``.
        biases: the use of its table of relative positions.
    """
    (dim, block), (width, most) = used, largest
    inner, max_inner = (b.num_heads * head_dim for b in (block, most))
    hidden, max_hidden = (hidden_features(d, b.mlp_ratio) for d, b in (used, largest))
    attn, ffn = block.attn_share_ratio, block.ffn_share_ratio
    uses = vector_uses(f'{name}.norm1', 'norm', dim, width, attn)
    uses.append(biases)
    uses += linear_uses(f'{name}.attn.qkv', 'attn', inner, max_inner, dim, width, attn, 3, qkv_bias)
    uses += linear_uses(f'{name}.attn.proj', 'attn', dim, width, inner, max_inner, attn)
    uses += vector_uses(f'{name}.norm2', 'norm', dim, width, ffn)
    uses += linear_uses(f'{name}.mlp.fc1', 'ffn', hidden, max_hidden, dim, width, ffn)
    return uses + linear_uses(f'{name}.mlp.fc2', 'ffn', dim, width, hidden, max_hidden, ffn)


def block_flops(
    size: tuple[int, int],
    dim: int,
    block: BlockSpec,
    head_dim: int,
    window: int,
    attention_products: bool,
) -> int:
    """Multiply-adds of a block on a map of ``size`` (height, width); see ``Layout.flops``."""
    height, width = size
    padded = -(-height // window) * -(-width // window) * window**2
    inner = block.num_heads * head_dim
    total = padded * dim * 4 * inner
    total += height * width * dim * 2 * hidden_features(dim, block.mlp_ratio)
    return total + (2 * padded * window**2 * inner if attention_products else 0)


def block_names(spec: SubnetSpec, shape: SwinShape) -> list[str]:
    """Names of the modules of an architecture's blocks."""
    return [
        f'stages.{s}.blocks.{i}'
        for s, stage in enumerate(spec.stages)
        for i in range(len(stage.blocks))
    ]
