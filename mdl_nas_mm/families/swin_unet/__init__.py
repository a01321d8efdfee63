"""Swin transformers with a decoder behind each deeper level of the encoder."""

from .skeletons import CELLS, SKELETONS, Skeleton, read_skeletons, union

__all__ = ['CELLS', 'SKELETONS', 'Skeleton', 'read_skeletons', 'union']
