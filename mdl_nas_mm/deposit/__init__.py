"""One file with every task's weights, the shared ones once."""

from .arch_source import DepositSource
from .base import DepositBase
from .extract import extract
from .initialize import DepositedInit
from .load_tasks import load_tasks
from .pack import add, pack, remove
from .unpack import Deposit
from .verify import largest_differences, verify

__all__ = [
    'Deposit',
    'DepositBase',
    'DepositSource',
    'DepositedInit',
    'add',
    'extract',
    'largest_differences',
    'load_tasks',
    'pack',
    'remove',
    'verify',
]
