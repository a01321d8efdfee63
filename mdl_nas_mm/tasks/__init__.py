"""One task is an upstream config with the elastic backbone put in."""

from .classes import check_classes, check_labels
from .config import resolve_joint_config
from .data import build_eval_loader, build_train_loader, restart
from .delta_t import Reference, delta_t, relative_change
from .evaluate import Evaluation, evaluate, metrics_of, process
from .group_batch import GroupBatch
from .group_data import build_group_eval_loader, build_group_train_loader
from .incremental import Base
from .input_size import validation_size
from .joint_evaluation import JointEvaluation, joint_evaluations
from .model import BackboneSlot, MultiTaskModel
from .own_training import own_training
from .pass_groups import PassGroups, find_pass_groups, pass_groups_of, tied
from .recalibrate import recalibrated, recalibrations
from .resolved import ResolvedConfig
from .scope import task_scope
from .scores import NoScore, Score, Scoring, score_of
from .subnets import choose_joint_spec, fixed_spec, given_spec, sampled_spaces
from .task import Split, Task

__all__ = [
    'BackboneSlot',
    'Base',
    'Evaluation',
    'GroupBatch',
    'JointEvaluation',
    'MultiTaskModel',
    'NoScore',
    'PassGroups',
    'Reference',
    'ResolvedConfig',
    'Score',
    'Scoring',
    'Split',
    'Task',
    'build_eval_loader',
    'build_group_eval_loader',
    'build_group_train_loader',
    'build_train_loader',
    'check_classes',
    'check_labels',
    'choose_joint_spec',
    'delta_t',
    'evaluate',
    'find_pass_groups',
    'fixed_spec',
    'given_spec',
    'joint_evaluations',
    'metrics_of',
    'own_training',
    'pass_groups_of',
    'process',
    'recalibrated',
    'recalibrations',
    'relative_change',
    'resolve_joint_config',
    'restart',
    'sampled_spaces',
    'score_of',
    'task_scope',
    'tied',
    'validation_size',
]
