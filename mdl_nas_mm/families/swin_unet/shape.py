"""What all architectures of an elastic tree of cells have in common."""

from __future__ import annotations

from dataclasses import dataclass

from .skeletons import level_of, skipped_from


@dataclass(frozen=True)
class SwinUNetShape:
    """What is fixed in an elastic Swin with decoders.

    Attributes:
        patch_size: side of a square patch in pixels.
        head_dim: width of one attention head.
        post_norm: whether a block's two sums are normalised too.
        skip_connections: whether decoders are given the encoder's map of their size.
        out_cells: cells whose output is normalised and returned.
    """

    patch_size: int = 4
    in_channels: int = 3
    head_dim: int = 32
    qkv_bias: bool = True
    post_norm: bool = False
    skip_connections: bool = False
    out_cells: tuple[str, ...] = ()

    def skipped_from(self, cell: str) -> str | None:
        """The cell of the encoder whose map is added to a decoder's; None where there is none."""
        return skipped_from(cell, self.skip_connections)

    def map_of(self, cell: str, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of a cell's map for an image; a rest at a border counts as one."""
        height, width = (-(-side // self.patch_size) for side in size)
        for _ in range(1, level_of(cell)):
            height, width = -(-height // 2), -(-width // 2)
        return height, width


def module_of(cell: str) -> str:
    """Name of a cell's module; those of the encoder are Swin's stages."""
    return f'stages.{int(cell[1]) - 1}' if cell[0] == 'e' else f'decoders.{decoder_key(cell)}'


def decoder_key(cell: str) -> str:
    """A decoder's cell as the name of a module, which has no dot."""
    return cell.replace('.', '_')


def norm_of(cell: str) -> str:
    """Name of the norm of a cell's output."""
    return f'norm{int(cell[1]) - 1}' if cell[0] == 'e' else f'{module_of(cell)}.norm'
