"""The search for the best joint spec under a budget."""

from .budget import smallest_total
from .evaluator import SupernetEvaluator
from .evolution import SearchResult, search
from .history import History
from .run import check_search, parse_budget, run_search
from .settings import EvolutionSettings

__all__ = [
    'EvolutionSettings',
    'History',
    'SearchResult',
    'SupernetEvaluator',
    'check_search',
    'parse_budget',
    'run_search',
    'search',
    'smallest_total',
]
