"""The weights of a layer, partly shared by all tasks and partly owned by each."""

from .merge import merge, shared_mask
from .parameters import TaskParameters

__all__ = ['TaskParameters', 'merge', 'shared_mask']
