"""Swin transformers."""

from .family import SWIN
from .layout import SwinLayout
from .model import ElasticSwin
from .shape import SwinShape

__all__ = ['SWIN', 'ElasticSwin', 'SwinLayout', 'SwinShape']
