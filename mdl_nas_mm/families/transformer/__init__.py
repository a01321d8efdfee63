"""What families of transformers have in common."""

from .dimensions import TRANSFORMER, BlockSpec, StageSpec, hidden_features

__all__ = ['TRANSFORMER', 'BlockSpec', 'StageSpec', 'hidden_features']
