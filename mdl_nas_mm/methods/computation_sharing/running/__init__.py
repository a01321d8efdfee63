"""Running a base task and its sub-tasks: what they have in common is computed once."""

from .densities import Density, boundary, measure_densities
from .gates import Gate, fit_gate
from .model import SharedComputation
from .settings import SharingSettings
from .state import Pair, State
from .work import Totals, Work, by_task, totals

__all__ = [
    'Density',
    'Gate',
    'Pair',
    'SharedComputation',
    'SharingSettings',
    'State',
    'Totals',
    'Work',
    'boundary',
    'by_task',
    'fit_gate',
    'measure_densities',
    'totals',
]
