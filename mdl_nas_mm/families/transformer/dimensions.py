"""What an architecture of a transformer is told."""

from __future__ import annotations

from dataclasses import dataclass

from mdl_nas_mm.spec import Dimensions, SearchSpace
from mdl_nas_mm.spec.dimensions import blocks_of, share_ratio, size


@dataclass(frozen=True)
class BlockSpec:
    """One transformer block.

    Attributes:
        num_heads: attention heads; the q, k and v widths are ``num_heads * head_dim`` each.
        mlp_ratio: hidden width of the feed-forward network over the embedding width.
        attn_share_ratio: share ratio of the attention layers and their norm, in [0, 1].
        ffn_share_ratio: share ratio of the feed-forward layers and their norm, in [0, 1].
    """

    num_heads: int = size('heads', whole=True)
    mlp_ratio: float = size('MLP ratio')
    attn_share_ratio: float = share_ratio('shared attention')
    ffn_share_ratio: float = share_ratio('shared FFN', default='attn_share_ratio')


@dataclass(frozen=True)
class StageSpec:
    """Consecutive blocks of one embedding width (a ViT has one stage, a Swin four)."""

    embed_dim: int = size('width', whole=True)
    blocks: tuple[BlockSpec, ...] = blocks_of(BlockSpec)


TRANSFORMER = Dimensions(StageSpec, roles=('norm', 'attn', 'ffn'))


def hidden_features(embed_dim: int, mlp_ratio: float) -> int:
    """Hidden width of a feed-forward network."""
    return int(embed_dim * mlp_ratio)


def derive_head_dim(space: SearchSpace, head_dim: int | None) -> int:
    """The width of a head; where it is not given, the widest embedding over the most heads.

    Where the blocks of a stage have different choices of heads, these are those of its first block.

    Raises:
        ValueError: the heads do not divide the embedding, or stages have different widths.
    """
    if head_dim is not None:
        return head_dim
    found = set()
    for i, stage in enumerate(space.largest().stages):
        width, heads = stage.embed_dim, stage.blocks[0].num_heads
        if width % heads:
            raise ValueError(
                f'stage {i}: {heads} heads do not divide an embedding of {width}; give head_dim'
            )
        found.add(width // heads)
    if len(found) > 1:
        raise ValueError(f'heads are {sorted(found)} wide in different stages; give head_dim')
    return found.pop()


def derived_settings(shape) -> dict[str, int]:
    """What a backbone of one architecture has to be told, as it may follow from a whole space."""
    return dict(head_dim=shape.head_dim)
