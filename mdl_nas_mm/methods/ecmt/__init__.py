"""ECMT: one slimmable model, then any budget and any preference at run time."""

from .controller import Configuration, Controller
from .evolve import Evolution, InfeasibleBudget
from .sampler import LargestFirstSampler
from .step import ECMTStep

__all__ = [
    'Configuration',
    'Controller',
    'ECMTStep',
    'Evolution',
    'InfeasibleBudget',
    'LargestFirstSampler',
]
