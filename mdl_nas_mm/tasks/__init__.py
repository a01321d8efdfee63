"""One task is an upstream config with the elastic backbone put in."""

from .config import resolve_joint_config
from .data import build_eval_loader, build_train_loader
from .evaluate import Evaluation, evaluate, score_of
from .model import BackboneSlot, MultiTaskModel
from .scope import task_scope
from .subnets import choose_joint_spec, drawn_space, fixed_spec

__all__ = [
    'BackboneSlot',
    'Evaluation',
    'MultiTaskModel',
    'build_eval_loader',
    'build_train_loader',
    'choose_joint_spec',
    'drawn_space',
    'evaluate',
    'fixed_spec',
    'resolve_joint_config',
    'score_of',
    'task_scope',
]
