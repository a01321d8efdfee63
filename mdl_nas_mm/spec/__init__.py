"""Architectures, search spaces and their exact sizes, as plain values without torch."""

from .footprint import footprint, row_lengths, score_footprint, specific_name
from .layout import Layout, ParamUse, ViTLayout, ViTShape
from .ledger import Counts, Ledger
from .sharing import Policy, Sharing
from .space import SearchSpace
from .spec import BlockSpec, JointSpec, StageSpec, SubnetSpec, hidden_features, shared_count

__all__ = [
    'BlockSpec',
    'Counts',
    'JointSpec',
    'Layout',
    'Ledger',
    'ParamUse',
    'Policy',
    'SearchSpace',
    'Sharing',
    'StageSpec',
    'SubnetSpec',
    'ViTLayout',
    'ViTShape',
    'footprint',
    'hidden_features',
    'row_lengths',
    'score_footprint',
    'shared_count',
    'specific_name',
]
