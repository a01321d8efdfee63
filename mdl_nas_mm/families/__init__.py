"""Families of elastic networks: one folder each, with everything that only it knows."""

from . import heads
from .mobilenet_v2 import ElasticMobileNetV2
from .resnet import ElasticResNet, ElasticResNet9
from .swin import ElasticSwin
from .swin_unet import ElasticSwinUNet
from .upstream import UpstreamBackbone
from .vit import ElasticViT

__all__ = [
    'ElasticMobileNetV2',
    'ElasticResNet',
    'ElasticResNet9',
    'ElasticSwin',
    'ElasticSwinUNet',
    'ElasticViT',
    'UpstreamBackbone',
    'heads',
]
