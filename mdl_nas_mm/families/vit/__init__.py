"""Vision transformers in AutoFormer's shape."""

from .feature_pyramid import SimpleFeaturePyramid
from .layout import ViTLayout
from .model import ElasticViT
from .shape import ViTShape

__all__ = ['ElasticViT', 'SimpleFeaturePyramid', 'ViTLayout', 'ViTShape']
