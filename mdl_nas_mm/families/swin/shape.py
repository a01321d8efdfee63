"""What all architectures of an elastic Swin have in common."""

from __future__ import annotations

from dataclasses import dataclass

# Of the layer norms, as in the published models; ElasticViT has 1e-6, as its own have.
NORM_EPS = 1e-5


@dataclass(frozen=True)
class SwinShape:
    """What is fixed in an elastic Swin.

    Attributes:
        patch_size: side of a square patch in pixels.
        head_dim: width of one attention head.
        window_sizes: side of the attention windows of each stage, in tokens.
        out_stages: stages whose output is normalised and returned.
    """

    patch_size: int = 4
    in_channels: int = 3
    head_dim: int = 32
    window_sizes: tuple[int, ...] = (7, 7, 7, 7)
    qkv_bias: bool = True
    out_stages: tuple[int, ...] = (0, 1, 2, 3)

    def maps(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """(height, width) of each stage's map for an image; a rest at a border counts as one."""
        maps = [(-(-size[0] // self.patch_size), -(-size[1] // self.patch_size))]
        for _ in self.window_sizes[1:]:
            maps.append((-(-maps[-1][0] // 2), -(-maps[-1][1] // 2)))
        return maps
