"""Swin transformers."""

from .layout import SwinLayout
from .model import ElasticSwin
from .shape import SwinShape

__all__ = ['ElasticSwin', 'SwinLayout', 'SwinShape']
