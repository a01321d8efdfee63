"""Elastic layers and the registered backbones made of them."""

from .active import activate
from .backbone import ElasticBackbone
from .feature_pyramid import SimpleFeaturePyramid
from .swin import ElasticSwin
from .vit import ElasticViT

__all__ = ['ElasticBackbone', 'ElasticSwin', 'ElasticViT', 'SimpleFeaturePyramid', 'activate']
