"""ECMT: one slimmable model, then any budget and any preference at run time."""

from .sampler import LargestFirstSampler
from .step import ECMTStep

__all__ = ['ECMTStep', 'LargestFirstSampler']
