"""The search for the best joint spec under a budget."""

from .budget import smallest_total
from .constraints import Constraints
from .costs import Cost, FlopsCost, LatencyCost, ParameterCost
from .evaluations import Evaluations
from .evaluator import SupernetEvaluator
from .evolution import SearchResult, search
from .exact import pareto_front, select
from .history import History, Outcome
from .loss_score import LossPredictorScore
from .plan import SearchPlan, parse_budget
from .predictor import Predictor
from .predictor_score import PredictorScore
from .problem import SearchProblem
from .results import choose_again
from .run import check_search, run_search, search_supernet
from .scored import ScoredJoint
from .selections import BestCandidate, ExactSelection, Selection
from .settings import EvolutionSettings

__all__ = [
    'BestCandidate',
    'Constraints',
    'Cost',
    'Evaluations',
    'EvolutionSettings',
    'ExactSelection',
    'FlopsCost',
    'History',
    'LatencyCost',
    'LossPredictorScore',
    'Outcome',
    'ParameterCost',
    'ScoredJoint',
    'Predictor',
    'PredictorScore',
    'SearchPlan',
    'SearchProblem',
    'SearchResult',
    'Selection',
    'SupernetEvaluator',
    'check_search',
    'choose_again',
    'pareto_front',
    'parse_budget',
    'run_search',
    'search',
    'search_supernet',
    'select',
    'smallest_total',
]
