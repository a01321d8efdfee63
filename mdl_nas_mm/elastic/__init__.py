"""The root of elastic modules, and the layers that they are made of."""

from .active import activate
from .backbone import ElasticBackbone

__all__ = ['ElasticBackbone', 'activate']
