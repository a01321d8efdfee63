"""Architectures, search spaces and their exact sizes, as plain values without torch."""

from .arch_source import read_arch, read_joint_spec
from .batch_ledger import BatchLedger
from .footprint import footprint, row_lengths, score_footprint
from .layout import Layout, ParamUse
from .ledger import Counts, Ledger
from .owners import Owners
from .sharing import Policy, Sharing
from .space import SearchSpace
from .spec import BlockSpec, JointSpec, StageSpec, SubnetSpec, hidden_features, shared_count

__all__ = [
    'BatchLedger',
    'BlockSpec',
    'Counts',
    'JointSpec',
    'Layout',
    'Ledger',
    'Owners',
    'ParamUse',
    'Policy',
    'SearchSpace',
    'Sharing',
    'StageSpec',
    'SubnetSpec',
    'footprint',
    'hidden_features',
    'read_arch',
    'read_joint_spec',
    'row_lengths',
    'score_footprint',
    'shared_count',
]
