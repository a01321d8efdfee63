"""The root of elastic modules, and the layers that they are made of."""

from .active import activate
from .backbone import ElasticBackbone
from .part import ElasticPart

__all__ = ['ElasticBackbone', 'ElasticPart', 'activate']
