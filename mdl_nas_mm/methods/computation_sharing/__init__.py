"""Sub-tasks as sparse differences from a base task (efficient computation sharing)."""

from .activations import ActivationPenalty, Frames
from .differences import Difference, SparseWeight, difference_between, merge
from .files import load_difference, save_difference
from .fixed import FixedDifference
from .gated import GatedDifference
from .layers import linear_layers
from .places import fix_places

__all__ = [
    'ActivationPenalty',
    'Difference',
    'FixedDifference',
    'Frames',
    'GatedDifference',
    'SparseWeight',
    'difference_between',
    'fix_places',
    'linear_layers',
    'load_difference',
    'merge',
    'save_difference',
]
