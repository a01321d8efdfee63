"""Residual networks whose layers each have a width of their own."""

from .family import RESNET
from .model import ElasticResNet
from .resnet9 import RESNET9, ElasticResNet9, ResNet9Shape
from .shape import ResNetShape

__all__ = [
    'RESNET',
    'RESNET9',
    'ElasticResNet',
    'ElasticResNet9',
    'ResNet9Shape',
    'ResNetShape',
]
