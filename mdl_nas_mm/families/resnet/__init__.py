"""Residual networks whose layers each have a width of their own."""

from .family import RESNET
from .model import ElasticResNet
from .shape import ResNetShape

__all__ = ['RESNET', 'ElasticResNet', 'ResNetShape']
