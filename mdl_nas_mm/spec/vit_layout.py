"""What an architecture of ``ElasticViT`` uses, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from .layout import ParamUse, linear_uses, vector_uses
from .space import SearchSpace
from .spec import BlockSpec, SubnetSpec, hidden_features


@dataclass(frozen=True)
class ViTShape:
    """What is fixed in an elastic ViT.

    Attributes:
        img_size: (height, width) in pixels for which positions are stored; other sizes are
            interpolated.
        patch_size: side of a square patch in pixels.
        head_dim: width of one attention head.
        max_relative_position: farthest distance, in patches, that the relative position tables
            tell apart; 0 leaves relative positions out.
        class_token: whether a class token leads the sequence.
    """

    img_size: tuple[int, int] = (224, 224)
    patch_size: int = 16
    in_channels: int = 3
    head_dim: int = 64
    qkv_bias: bool = True
    absolute_position: bool = True
    max_relative_position: int = 14
    class_token: bool = True

    @property
    def grid(self) -> tuple[int, int]:
        """Patches (down, across) of ``img_size``."""
        return self.patches(self.img_size)

    def patches(self, size: tuple[int, int]) -> tuple[int, int]:
        """Patches (down, across) of an image; a rest at the border counts as a patch."""
        return -(-size[0] // self.patch_size), -(-size[1] // self.patch_size)

    @property
    def table_rows(self) -> int:
        """Rows of one relative position table; row 0 is the class token's."""
        return 2 * self.max_relative_position + 2


class ViTLayout:
    """Layout of ``ElasticViT``."""

    def __init__(self, space: SearchSpace, shape: ViTShape) -> None:
        if len(space.stages) != 1:
            raise ValueError(f'a ViT space has one stage, not {len(space.stages)}')
        self.space = space
        self.shape = shape
        self.part_uses = lru_cache(None)(self.part_uses)

    def __reduce__(self) -> tuple:
        # What was remembered stays behind; it can be neither pickled nor copied.
        return ViTLayout, (self.space, self.shape)

    def parts(self, spec: SubnetSpec) -> list[tuple]:
        """Keys of the independent parts of an architecture, for ``part_uses``."""
        (stage,) = spec.stages
        dim = stage.embed_dim
        # Plain numbers: their hashes are far cheaper than those of BlockSpecs.
        return [('stem', dim)] + [
            (i, dim, b.num_heads, b.mlp_ratio, b.attn_share_ratio, b.ffn_share_ratio)
            for i, b in enumerate(stage.blocks)
        ]

    def part_uses(self, part: tuple) -> tuple[ParamUse, ...]:
        """Every parameter that a part uses."""
        width = self.space.max_embed_dim
        if part[0] == 'stem':
            uses = self._stem(part[1], width) + vector_uses('norm', 'stem', part[1], width)
            return tuple(uses)
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
        shape, choices = self.shape, self.space.stages[0].blocks[index]
        inner, max_inner = (
            heads * shape.head_dim for heads in (block.num_heads, choices.num_heads[-1])
        )
        hidden = hidden_features(dim, block.mlp_ratio)
        max_hidden = self.space.stages[0].max_hidden(index)
        attn, ffn = block.attn_share_ratio, block.ffn_share_ratio
        uses = vector_uses(f'{name}.norm1', 'norm', dim, width, attn)
        uses += linear_uses(
            f'{name}.attn.qkv', 'attn', inner, max_inner, dim, width, attn, 3, shape.qkv_bias
        )
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

    def flops(
        self,
        spec: SubnetSpec,
        input_size: tuple[int, int],
        attention_products: bool = True,
        window: int = 0,
    ) -> int:
        """Multiply-adds of one image of ``input_size`` (height, width).

        Counts convolutions and matrix products, the ones on patches that pad windows included.
        With ``attention_products`` also q k^T, the attention times v, and the products with the
        relative position tables; published figures differ in whether these are counted.

        Args:
            window: side of the attention's windows, see ``ElasticViT``; 0 for none.
        """
        (stage,), shape = spec.stages, self.shape
        down, across = shape.patches(input_size)
        special = int(shape.class_token and not window)
        patch = shape.in_channels * shape.patch_size**2
        total = down * across * patch * stage.embed_dim
        whole = global_blocks(spec.depth)
        for i, block in enumerate(stage.blocks):
            tokens = keys = down * across + special
            if window and i not in whole:
                keys = window**2
                tokens = -(-down // window) * -(-across // window) * keys
            inner = block.num_heads * shape.head_dim
            total += tokens * stage.embed_dim * 4 * inner
            hidden = hidden_features(stage.embed_dim, block.mlp_ratio)
            total += (down * across + special) * stage.embed_dim * 2 * hidden
            if attention_products:
                total += 2 * tokens * keys * inner
                if shape.max_relative_position:
                    total += 4 * tokens * shape.table_rows * inner
        return total


def global_blocks(depth: int) -> set[int]:
    """The blocks that attend over the whole image where the others keep to windows (ViTDet)."""
    return {-(-(i + 1) * depth // 4) - 1 for i in range(4)}
