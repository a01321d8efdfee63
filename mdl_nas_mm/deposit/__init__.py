"""One file with every task's weights, the shared ones once."""

from .arch_source import DepositSource
from .base import DepositBase
from .extract import extract
from .initialize import DepositedInit
from .kinds import Control
from .load_tasks import load_tasks
from .one_pass import (
    agreeing_backbones,
    load_around_one,
    one_pass,
    same_backbones,
    stored_pass_groups,
)
from .pack import add, pack, remove
from .unpack import Deposit
from .verify import largest_differences, verify

__all__ = [
    'Control',
    'Deposit',
    'DepositBase',
    'DepositSource',
    'DepositedInit',
    'add',
    'agreeing_backbones',
    'extract',
    'largest_differences',
    'load_around_one',
    'load_tasks',
    'one_pass',
    'pack',
    'remove',
    'same_backbones',
    'stored_pass_groups',
    'verify',
]
