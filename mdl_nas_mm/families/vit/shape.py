"""What all architectures of an elastic ViT have in common."""

from __future__ import annotations

from dataclasses import dataclass

# Of a propagation its convolutions: side of the kernel, and the part of the width that comes out
# as a divisor; ViTDet's "naive", "basic" and "bottleneck".
PROPAGATIONS = dict(naive=((3, 1),), basic=((3, 1), (3, 1)), bottleneck=((1, 2), (3, 2), (1, 1)))


def convolutions(kind: str, width: int) -> list[tuple[int, int, int]]:
    """(side of the kernel, inputs, outputs) of each convolution of a propagation."""
    found, inputs = [], width
    for side, divisor in PROPAGATIONS[kind]:
        found.append((side, inputs, width // divisor))
        inputs = width // divisor
    return found


@dataclass(frozen=True)
class ViTShape:
    """What is fixed in an elastic ViT.

    Attributes:
        img_size: (height, width) in pixels for which positions are stored; other sizes are
            interpolated.
        patch_size: side of a square patch in pixels.
        head_dim: width of one attention head.
        qkv_bias: whether q, k and v have a bias; see ``ElasticAttention`` for ``'packed'``.
        max_relative_position: farthest distance, in patches, that the relative position tables
            tell apart; 0 leaves relative positions out.
        class_token: whether a class token leads the sequence.
    """

    img_size: tuple[int, int] = (224, 224)
    patch_size: int = 16
    in_channels: int = 3
    head_dim: int = 64
    qkv_bias: bool | str = True
    absolute_position: bool = True
    max_relative_position: int = 14
    class_token: bool = True

    @property
    def grid(self) -> tuple[int, int]:
        """(height, width) of ``img_size`` in patches."""
        return self.patches(self.img_size)

    def patches(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of an image in patches; a rest at the border counts as a patch."""
        return -(-size[0] // self.patch_size), -(-size[1] // self.patch_size)

    @property
    def table_rows(self) -> int:
        """Rows of one relative position table; row 0 is the class token's."""
        return 2 * self.max_relative_position + 2
