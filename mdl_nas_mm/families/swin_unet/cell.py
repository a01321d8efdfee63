"""A cell of the tree: blocks of one width, behind what brings a map to their size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from mdl_nas_mm.elastic.layers import ElasticLayerNorm, ElasticLinear
from mdl_nas_mm.sharing import AllShared, Sharing

from ..swin.model import ElasticSwinBlock
from ..swin.shape import NORM_EPS
from ..transformer.dimensions import BlockSpec
from .dimensions import CellSpec, WindowBlockSpec
from .patch_expanding import ElasticPatchExpanding
from .shape import SwinUNetShape


class ElasticCellBlock(ElasticSwinBlock):
    """A block that is told the side of its windows; on a smaller map the window is the map."""

    def __init__(
        self,
        index: int,
        embed_dim: int,
        largest: WindowBlockSpec,
        shape: SwinUNetShape,
        **others: Any,
    ) -> None:
        super().__init__(
            index,
            embed_dim,
            largest,
            head_dim=shape.head_dim,
            qkv_bias=shape.qkv_bias,
            window=largest.window_side,
            post_norm=shape.post_norm,
            smaller_windows=True,
            **others,
        )

    def windows_on(self, block: BlockSpec, side: int, pad_small_map: bool) -> tuple[int, int]:
        assert isinstance(block, WindowBlockSpec)
        window = min(block.window_side, side)
        return window, window // 2 if self.is_shifted and side > window else 0


def cell_blocks(
    cell: CellSpec,
    shape: SwinUNetShape,
    sharing: Sharing,
    tasks: Sequence[str],
    drop_paths: Sequence[float],
) -> list[nn.Module]:
    """The blocks of a cell of the largest architecture.

    Args:
        cell: its sizes.
        shape: what is fixed.
        sharing: role -> sharing policy.
        tasks: which own specific weights.
        drop_paths: rate of stochastic depth of each block.
    """
    pairs = enumerate(zip(cell.blocks, drop_paths, strict=True))
    return [
        ElasticCellBlock(
            i, cell.embed_dim, block, shape, sharing=sharing, tasks=tasks, drop_path=rate
        )
        for i, (block, rate) in pairs
    ]


class ElasticDecoderCell(nn.Module):
    """The blocks of a decoder's cell behind an upsampling of the map before.

    Args:
        before: widest embedding of the cell before.
        embed_dim: widest embedding of this one.
        blocks: see ``cell_blocks``.
        has_norm: whether its map is returned, normalised.
        skipped: widest embedding of the encoder's cell of the same size, whose map a linear layer
            adds to the upsampled one; 0 for no skip connection.
    """

    def __init__(
        self,
        before: int,
        embed_dim: int,
        blocks: Sequence[nn.Module],
        has_norm: bool,
        skipped: int = 0,
    ) -> None:
        super().__init__()
        self.upsample = ElasticPatchExpanding(before, embed_dim)
        if skipped:
            self.skip = ElasticLinear(skipped, embed_dim, AllShared(), (), bias=False)
        self.blocks = nn.ModuleList(blocks)
        if has_norm:
            self.norm = ElasticLayerNorm(embed_dim, AllShared(), (), NORM_EPS)
