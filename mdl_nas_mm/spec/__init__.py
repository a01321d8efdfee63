"""Architectures, search spaces and their exact sizes, as plain values without torch."""

from .batch_ledger import BatchLedger
from .dimensions import Dimension, Dimensions
from .footprint import footprint, score_footprint
from .layout import Layout, ParamUse
from .ledger import Counts, Ledger
from .owners import Owners
from .policy import SharingPolicy
from .space import SearchSpace, check_joint
from .spec import JointSpec, PartSpec, SubnetSpec, shared_count

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
    'PartSpec',
    'SearchSpace',
    'SharingPolicy',
    'SubnetSpec',
    'check_joint',
    'footprint',
    'score_footprint',
    'shared_count',
]
