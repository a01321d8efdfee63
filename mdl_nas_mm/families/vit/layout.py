"""What an architecture of ``ElasticViT`` uses, in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from mdl_nas_mm.spec import ParamUse, SearchSpace, SubnetSpec
from mdl_nas_mm.spec.layout import linear_uses, vector_uses

from ..transformer.dimensions import BlockSpec, hidden_features
from .shape import ViTShape, convolutions

# Kind of propagation -> the tasks that have one; none of them where no task has its own weights.
Propagations = Mapping[str, tuple[str, ...]]


class ViTLayout:
    """Layout of ``ElasticViT``.

    Args:
        space: of its architectures.
        shape: what is fixed.
        propagations: those that are behind some of its blocks.
    """

    def __init__(
        self, space: SearchSpace, shape: ViTShape, propagations: Propagations | None = None
    ) -> None:
        if len(space.stages) != 1:
            raise ValueError(f'a ViT space has one stage, not {len(space.stages)}')
        self.space = space
        self.shape = shape
        self.propagations = dict(propagations or {})
        (self.largest,) = space.largest().stages
        self.part_uses = lru_cache(None)(self.part_uses)

    def __reduce__(self) -> tuple:
        # What was remembered stays behind; it can be neither pickled nor copied.
        return ViTLayout, (self.space, self.shape, self.propagations)

    def parts(self, spec: SubnetSpec) -> list[tuple]:
        """Keys of the independent parts of an architecture, for ``part_uses``."""
        (stage,) = spec.stages
        dim = stage.embed_dim
        # Plain numbers: their hashes are far cheaper than those of BlockSpecs.
        parts: list[tuple] = [('stem', dim)]
        parts += [
            (i, dim, b.num_heads, b.mlp_ratio, b.attn_share_ratio, b.ffn_share_ratio)
            for i, b in enumerate(stage.blocks)
        ]
        if self.propagations:
            count = len(global_blocks(spec.depth))
            parts += [(kind, i, dim) for kind in self.propagations for i in range(count)]
        return parts

    def part_uses(self, part: tuple) -> tuple[ParamUse, ...]:
        """Every parameter that a part uses."""
        width = self.largest.embed_dim
        if part[0] == 'stem':
            uses = self._stem(part[1], width) + vector_uses('norm', 'stem', part[1], width)
            return tuple(uses)
        if part[0] in self.propagations:
            return tuple(self._propagation(part[0], part[1], part[2], width))
        index, dim, *block = part
        return tuple(self._block(f'blocks.{index}', index, BlockSpec(*block), dim, width))

    def uses(self, spec: SubnetSpec) -> tuple[ParamUse, ...]:
        """Every parameter that ``spec`` uses."""
        return tuple(use for part in self.parts(spec) for use in self.part_uses(part))

    def _stem(self, dim: int, width: int) -> list[ParamUse]:
        shape, grid = self.shape, self.shape.grid
        patch = shape.in_channels * shape.patch_size**2
        uses = [
            ParamUse('patch_embed.proj.weight', 'stem', 1, width, patch, dim, patch),
            ParamUse('patch_embed.proj.bias', 'stem', 1, width, 1, dim, 1),
        ]
        if shape.class_token:
            uses.append(ParamUse('cls_token', 'stem', 1, 1, width, 1, dim))
        if shape.absolute_position:
            tokens = grid[0] * grid[1] + shape.class_token
            uses.append(ParamUse('pos_embed', 'stem', 1, tokens, width, tokens, dim))
        return uses

    def _block(
        self, name: str, index: int, block: BlockSpec, dim: int, width: int
    ) -> list[ParamUse]:
        shape, largest = self.shape, self.largest.blocks[index]
        inner, max_inner = (b.num_heads * shape.head_dim for b in (block, largest))
        hidden = hidden_features(dim, block.mlp_ratio)
        max_hidden = hidden_features(width, largest.mlp_ratio)
        attn, ffn = block.attn_share_ratio, block.ffn_share_ratio
        uses = vector_uses(f'{name}.norm1', 'norm', dim, width, attn)
        is_packed = shape.qkv_bias == 'packed'
        has_bias = bool(shape.qkv_bias) and not is_packed
        uses += linear_uses(
            f'{name}.attn.qkv', 'attn', inner, max_inner, dim, width, attn, 3, has_bias
        )
        if is_packed:
            bias, rows = f'{name}.attn.qkv_bias.bias', (3 * max_inner, 1, 3 * inner, 1)
            uses.append(ParamUse(bias, 'attn', 1, *rows, attn))
        uses += linear_uses(f'{name}.attn.proj', 'attn', dim, width, inner, max_inner, attn)
        if shape.max_relative_position:
            for key in ('k', 'v'):
                for axis in ('v', 'h'):
                    table = f'{name}.attn.rel_pos_embed_{key}.embeddings_table_{axis}'
                    rows, columns = shape.table_rows, shape.head_dim
                    uses.append(ParamUse(table, 'stem', 1, rows, columns, rows, columns))
        uses += vector_uses(f'{name}.norm2', 'norm', dim, width, ffn)
        uses += linear_uses(f'{name}.mlp.fc1', 'ffn', hidden, max_hidden, dim, width, ffn)
        uses += linear_uses(f'{name}.mlp.fc2', 'ffn', dim, width, hidden, max_hidden, ffn)
        return uses

    def _propagation(self, kind: str, index: int, dim: int, width: int) -> Iterator[ParamUse]:
        tasks, name = self.propagations[kind], f'propagations.{kind}.{index}'
        role = 'own' if tasks else 'stem'
        sizes = zip(convolutions(kind, dim), convolutions(kind, width))
        for i, ((side, inputs, outputs), (_, max_inputs, max_outputs)) in enumerate(sizes):
            rows = (max_outputs, max_inputs * side**2, outputs, inputs * side**2)
            uses = [ParamUse(f'{name}.convs.{i}.weight', role, 1, *rows)]
            uses += vector_uses(f'{name}.norms.{i}', role, outputs, max_outputs)
            yield from (replace(use, tasks=frozenset(tasks) or None) for use in uses)

    def flops(
        self,
        spec: SubnetSpec,
        input_size: tuple[int, int],
        attention_products: bool = True,
        settings: Mapping[str, Any] | None = None,
    ) -> int:
        """Multiply-adds of one image of ``input_size`` (height, width).

        Counts convolutions and matrix products, the ones on patches that pad windows included.
        With ``attention_products`` also q k^T, the attention times v, and the products with the
        relative position tables; published figures differ in whether these are counted.

        Args:
            spec: the architecture.
            input_size: (height, width) in pixels.
            attention_products: whether to count these products.
            settings: of the task; ``window_size``, ``global_attention`` and ``propagation``
                count, see ``ElasticViT``.
        """
        (stage,), shape, settings = spec.stages, self.shape, settings or {}
        window = settings.get('window_size', 0)
        height, width = shape.patches(input_size)
        special = int(shape.class_token and not window)
        patch = shape.in_channels * shape.patch_size**2
        total = height * width * patch * stage.embed_dim
        places = global_blocks(spec.depth)
        whole = places if settings.get('global_attention', True) else set()
        kind = settings.get('propagation', 'none')
        if kind != 'none':
            sizes = convolutions(kind, stage.embed_dim)
            products = sum(side**2 * inputs * outputs for side, inputs, outputs in sizes)
            total += len(places) * height * width * products
        for i, block in enumerate(stage.blocks):
            tokens = keys = height * width + special
            if window and i not in whole:
                keys = window**2
                tokens = -(-height // window) * -(-width // window) * keys
            inner = block.num_heads * shape.head_dim
            total += tokens * stage.embed_dim * 4 * inner
            hidden = hidden_features(stage.embed_dim, block.mlp_ratio)
            total += (height * width + special) * stage.embed_dim * 2 * hidden
            if attention_products:
                total += 2 * tokens * keys * inner
                if shape.max_relative_position:
                    total += 4 * tokens * shape.table_rows * inner
        return total


def global_blocks(depth: int) -> set[int]:
    """The blocks that carry information between windows (ViTDet): they may attend over the whole
    image where the others keep to windows, and have a propagation behind them."""
    return {-(-(i + 1) * depth // 4) - 1 for i in range(4)}


def block_names(spec: SubnetSpec, shape: ViTShape) -> list[str]:
    """Names of the modules of an architecture's blocks."""
    return [f'blocks.{i}' for i in range(spec.depth)]
