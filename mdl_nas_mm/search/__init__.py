"""The search for the best joint spec under a budget."""

from .evaluator import SupernetEvaluator
from .evolution import EvolutionSettings, SearchResult, search, smallest_total
from .history import History
from .run import check_search, parse_budget, run_search

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
