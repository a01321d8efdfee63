"""The kinds of sharing, one a file, and the weights of a layer, shared and specific."""

from .all_shared import AllShared
from .all_specific import AllSpecific
from .base import SharingKind
from .mask import Mask
from .parameters import TaskParameters
from .sequential import Sequential
from .sharing import Sharing, read_policy

__all__ = [
    'AllShared',
    'AllSpecific',
    'Mask',
    'Sequential',
    'Sharing',
    'SharingKind',
    'TaskParameters',
    'read_policy',
]
