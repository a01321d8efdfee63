"""Joint training: runner, loops, gradients, checkpoints."""

from .amp import CPUAmpOptimWrapper
from .loops import MultiTaskTrainLoop, MultiTaskValLoop
from .runner import MultiTaskRunner
from .sample_hook import SampleSubnetHook
from .supernet_base import SupernetBase

__all__ = [
    'CPUAmpOptimWrapper',
    'MultiTaskRunner',
    'MultiTaskTrainLoop',
    'MultiTaskValLoop',
    'SampleSubnetHook',
    'SupernetBase',
]
