"""Families of backbones: one folder each, with everything that only it knows."""

from .swin import ElasticSwin
from .vit import ElasticViT

__all__ = ['ElasticSwin', 'ElasticViT']
