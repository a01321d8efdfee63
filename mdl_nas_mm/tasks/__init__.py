"""One task is an upstream config with the elastic backbone put in."""

from .classes import check_classes, check_labels
from .config import resolve_joint_config
from .data import build_eval_loader, build_train_loader
from .evaluate import Evaluation, evaluate, measure, process
from .incremental import Base
from .input_size import validation_size
from .model import BackboneSlot, MultiTaskModel
from .recalibrate import recalibrations
from .scope import task_scope
from .scores import NoScore, Scoring, score_of
from .subnets import choose_joint_spec, drawn_spaces, fixed_spec, given_spec

__all__ = [
    'BackboneSlot',
    'Base',
    'Evaluation',
    'MultiTaskModel',
    'NoScore',
    'Scoring',
    'build_eval_loader',
    'build_train_loader',
    'check_classes',
    'check_labels',
    'choose_joint_spec',
    'drawn_spaces',
    'evaluate',
    'fixed_spec',
    'given_spec',
    'measure',
    'process',
    'recalibrations',
    'resolve_joint_config',
    'score_of',
    'task_scope',
    'validation_size',
]
