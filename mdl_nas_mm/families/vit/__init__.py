"""Vision transformers in AutoFormer's shape."""

from .family import VIT
from .feature_pyramid import SimpleFeaturePyramid
from .layout import ViTLayout
from .model import ElasticViT
from .shape import ViTShape

__all__ = ['VIT', 'ElasticViT', 'SimpleFeaturePyramid', 'ViTLayout', 'ViTShape']
