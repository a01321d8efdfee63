"""One file with every task's weights, the shared ones once."""

from .initialize import DepositedInit
from .pack import pack
from .unpack import Deposit

__all__ = ['Deposit', 'DepositedInit', 'pack']
