"""The search for the best joint spec under a budget."""

from .budget import smallest_total
from .constraints import Constraints
from .evaluator import SupernetEvaluator
from .evolution import SearchResult, search
from .exact import Selection, pareto_front, select
from .history import History, Outcome
from .hook import SearchHook
from .plan import SearchPlan, parse_budget
from .results import choose_again
from .run import check_search, run_search
from .settings import EvolutionSettings

__all__ = [
    'Constraints',
    'EvolutionSettings',
    'History',
    'Outcome',
    'SearchHook',
    'SearchPlan',
    'SearchResult',
    'Selection',
    'SupernetEvaluator',
    'check_search',
    'choose_again',
    'pareto_front',
    'parse_budget',
    'run_search',
    'search',
    'select',
    'smallest_total',
]
