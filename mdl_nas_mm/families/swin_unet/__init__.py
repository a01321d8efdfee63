"""Swin transformers with a decoder behind each deeper level of the encoder."""

from .dimensions import CELL_TREE, cells_of, restrict
from .family import SWIN_UNET
from .layout import SwinUNetLayout
from .model import ElasticSwinUNet
from .shape import SwinUNetShape
from .skeletons import CELLS, SKELETONS, Skeleton, read_skeletons, union

__all__ = [
    'CELLS',
    'CELL_TREE',
    'SKELETONS',
    'SWIN_UNET',
    'ElasticSwinUNet',
    'Skeleton',
    'SwinUNetLayout',
    'SwinUNetShape',
    'cells_of',
    'read_skeletons',
    'restrict',
    'union',
]
