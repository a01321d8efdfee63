"""What an architecture of ``ElasticSwinUNet`` uses, in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from mdl_nas_mm.spec import ParamUse, SearchSpace, SubnetSpec
from mdl_nas_mm.spec.layout import linear_uses, vector_uses

from ..swin.layout import block_flops, block_uses
from .dimensions import CellSpec, WindowBlockSpec, cells_of
from .shape import SwinUNetShape, module_of, norm_of
from .skeletons import CELLS, predecessor


class SwinUNetLayout:
    """Layout of ``ElasticSwinUNet``."""

    def __init__(self, space: SearchSpace, shape: SwinUNetShape) -> None:
        self.space = space
        self.shape = shape
        self.largest: dict[str, CellSpec] = dict(zip(CELLS, space.largest().stages))
        self.part_uses = lru_cache(None)(self.part_uses)

    def __reduce__(self) -> tuple:
        # What was remembered stays behind; it can be neither pickled nor copied.
        return SwinUNetLayout, (self.space, self.shape)

    def parts(self, spec: SubnetSpec) -> list[tuple]:
        """Keys of the independent parts of an architecture, for ``part_uses``."""
        parts: list[tuple] = []
        stages: dict[str, CellSpec] = dict(zip(CELLS, spec.stages))
        for cell in cells_of(spec):
            if not self.largest[cell].blocks:
                # Of another task: a backbone has just the cells that its own skeletons need.
                continue
            stage, sources = stages[cell], (predecessor(cell), self.shape.skipped_from(cell))
            dim = stage.embed_dim
            widths = [stages[source].embed_dim if source else 0 for source in sources]
            parts.append(('entry', cell, dim, *widths))
            # Plain numbers: their hashes are far cheaper than those of blocks.
            parts += [
                (
                    *('block', cell, i, dim, b.num_heads, b.mlp_ratio),
                    *(b.attn_share_ratio, b.ffn_share_ratio, b.window_side),
                )
                for i, b in enumerate(stage.blocks)
            ]
            if cell in self.shape.out_cells:
                parts.append(('norm', cell, dim))
        return parts

    def part_uses(self, part: tuple) -> tuple[ParamUse, ...]:
        """Every parameter that a part uses."""
        kind, cell, *sizes = part
        if kind == 'entry':
            return tuple(self._entry(cell, *sizes))
        if kind == 'norm':
            (dim,), width = sizes, self.largest[cell].embed_dim
            return tuple(vector_uses(norm_of(cell), 'stem', dim, width))
        index, dim, *block = sizes
        return tuple(self._block(cell, index, dim, WindowBlockSpec(*block)))

    def uses(self, spec: SubnetSpec) -> tuple[ParamUse, ...]:
        """Every parameter that ``spec`` uses."""
        return tuple(use for part in self.parts(spec) for use in self.part_uses(part))

    def _entry(self, cell: str, dim: int, before: int, skipped: int) -> list[ParamUse]:
        """What brings images, or the map of the cell before, to a cell's size, and its skip."""
        width, source = self.largest[cell].embed_dim, predecessor(cell)
        if source is None:
            patch = self.shape.in_channels * self.shape.patch_size**2
            uses = linear_uses('patch_embed.proj', 'stem', dim, width, patch, patch, 1.0)
            return uses + vector_uses('patch_embed.norm', 'stem', dim, width)
        widest = self.largest[source].embed_dim
        if cell.startswith('e'):
            name = f'{module_of(source)}.downsample'
            uses = vector_uses(f'{name}.norm', 'stem', 4 * before, 4 * widest)
            sizes = (dim, width, 4 * before, 4 * widest)
            return uses + linear_uses(f'{name}.reduction', 'stem', *sizes, 1.0, bias=False)
        name = f'{module_of(cell)}.upsample'
        sizes = (4 * dim, 4 * width, before, widest)
        uses = linear_uses(f'{name}.expansion', 'stem', *sizes, 1.0, bias=False)
        uses += vector_uses(f'{name}.norm', 'stem', dim, width)
        beside = self.shape.skipped_from(cell)
        if beside is None:
            return uses
        sizes = (dim, width, skipped, self.largest[beside].embed_dim)
        return uses + linear_uses(f'{module_of(cell)}.skip', 'stem', *sizes, 1.0, bias=False)

    def _block(self, cell: str, index: int, dim: int, block: WindowBlockSpec) -> list[ParamUse]:
        name, whole = f'{module_of(cell)}.blocks.{index}', self.largest[cell]
        largest, width = whole.blocks[index], whole.embed_dim
        rows = [(2 * b.window_side - 1) ** 2 for b in (largest, block)]
        table, heads = f'{name}.attn.bias_by_ring', (largest.num_heads, block.num_heads)
        biases = ParamUse(table, 'stem', 1, rows[0], heads[0], rows[1], heads[1])
        sizes = (dim, block), (width, largest)
        uses = block_uses(name, *sizes, self.shape.head_dim, self.shape.qkv_bias, biases)
        if self.shape.post_norm:
            uses += vector_uses(f'{name}.post_norm1', 'norm', dim, width, block.attn_share_ratio)
            uses += vector_uses(f'{name}.post_norm2', 'norm', dim, width, block.ffn_share_ratio)
        return uses

    def flops(
        self,
        spec: SubnetSpec,
        input_size: tuple[int, int],
        attention_products: bool = True,
        settings: Mapping[str, Any] | None = None,
    ) -> int:
        """Multiply-adds of one image of ``input_size`` (height, width).

        Counts convolutions and matrix products, the ones on tokens that pad a
        map to whole windows included. With ``attention_products`` also q k^T and the attention
        times v.
        """
        shape, total = self.shape, 0
        stages: dict[str, CellSpec] = dict(zip(CELLS, spec.stages))
        for cell in cells_of(spec):
            dim, before = stages[cell].embed_dim, predecessor(cell)
            height, width = shape.map_of(cell, input_size)
            if before is None:
                total += height * width * shape.in_channels * shape.patch_size**2 * dim
            elif cell.startswith('e'):
                total += height * width * 4 * stages[before].embed_dim * dim
            else:
                rows, columns = shape.map_of(before, input_size)
                total += rows * columns * stages[before].embed_dim * 4 * dim
            beside = shape.skipped_from(cell)
            if beside is not None:
                total += height * width * stages[beside].embed_dim * dim
            for block in stages[cell].blocks:
                window = min(block.window_side, height, width)
                total += block_flops(
                    (height, width), dim, block, shape.head_dim, window, attention_products
                )
        return total


def block_names(spec: SubnetSpec, shape: SwinUNetShape) -> list[str]:
    """Names of the modules of an architecture's blocks."""
    return [
        f'{module_of(cell)}.blocks.{i}'
        for cell, stage in zip(CELLS, spec.stages)
        for i in range(len(stage.blocks))
    ]
