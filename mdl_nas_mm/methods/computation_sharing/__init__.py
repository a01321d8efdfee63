"""Sub-tasks as sparse differences from a base task (efficient computation sharing)."""

from .differences import Difference, SparseWeight, difference_between, merge
from .layers import linear_layers

__all__ = ['Difference', 'SparseWeight', 'difference_between', 'linear_layers', 'merge']
