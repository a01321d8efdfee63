"""Families of backbones: one folder each, with everything that only it knows."""

from .resnet import ElasticResNet
from .swin import ElasticSwin
from .upstream import UpstreamBackbone
from .vit import ElasticViT

__all__ = ['ElasticResNet', 'ElasticSwin', 'ElasticViT', 'UpstreamBackbone']
