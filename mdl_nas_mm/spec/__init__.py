"""Architectures, search spaces and their exact sizes, as plain values without torch."""

from .batch_ledger import BatchLedger
from .dimensions import Dimension, Dimensions
from .footprint import footprint, row_lengths, score_footprint
from .layout import Layout, ParamUse
from .ledger import Counts, Ledger
from .owners import Owners
from .sharing import Policy, Sharing
from .space import SearchSpace
from .spec import JointSpec, SubnetSpec, shared_count

__all__ = [
    'BatchLedger',
    'Counts',
    'Dimension',
    'Dimensions',
    'JointSpec',
    'Layout',
    'Ledger',
    'Owners',
    'ParamUse',
    'Policy',
    'SearchSpace',
    'Sharing',
    'SubnetSpec',
    'footprint',
    'row_lengths',
    'score_footprint',
    'shared_count',
]
