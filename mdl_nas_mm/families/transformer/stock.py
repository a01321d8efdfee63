"""What stock classes of transformers have in common.

Upstream's attention is as wide as the embedding, so that its heads divide that; ours may be wider
or narrower. All else that blocks may differ in, mmpretrain's classes can be told.
"""

from __future__ import annotations

from mdl_nas_mm.elastic.family import NoStockClassError

from .dimensions import StageSpec, hidden_features


def check_heads(stage: StageSpec, head_dim: int, where: str) -> None:
    """Raises NoStockClassError unless the heads of every block are as wide as its embedding."""
    for i, block in enumerate(stage.blocks):
        inner = block.num_heads * head_dim
        if inner != stage.embed_dim:
            raise NoStockClassError(
                f'{where} {i} has {block.num_heads} heads of {head_dim} channels, {inner} '
                f"together, on an embedding of {stage.embed_dim}; a stock class's are as wide"
            )


def hidden_widths(stage: StageSpec) -> list[int]:
    """Hidden widths of a stage's blocks."""
    return [hidden_features(stage.embed_dim, block.mlp_ratio) for block in stage.blocks]


def class_name(kind: str, scope: str) -> str:
    """The name of a class of mmpretrain in the config of a library."""
    return kind if scope == 'mmpretrain' else f'mmpretrain.{kind}'
