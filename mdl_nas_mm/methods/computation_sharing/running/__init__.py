"""Running a base task and its sub-tasks: what they have in common is computed once."""

from .gates import Gate, fit_gate
from .model import SharedComputation
from .settings import SharingSettings
from .state import Pair, State
from .work import Totals, Work, boundary, by_task, totals

__all__ = [
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
    'totals',
]
