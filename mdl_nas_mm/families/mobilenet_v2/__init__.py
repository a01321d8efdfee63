"""MobileNetV2 whose layers each have a width of their own."""

from .family import MOBILENET_V2
from .model import ElasticMobileNetV2
from .shape import MobileNetV2Shape

__all__ = ['MOBILENET_V2', 'ElasticMobileNetV2', 'MobileNetV2Shape']
