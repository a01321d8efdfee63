"""Joint training: runner, loops, gradients, checkpoints."""

from .amp import CPUAmpOptimWrapper
from .balancing import DynamicWeightAverage, GradientAggregation, UncertaintyWeighting
from .best import CheckpointHook, EarlyStoppingHook
from .distillation import ChannelMeanLoss, SoftTargetLoss
from .loops import MultiTaskTrainLoop
from .runner import MultiTaskRunner
from .sample_hook import SampleSubnetHook
from .samplers import FixedSampler, SandwichSampler, UniformSampler
from .supernet_base import SupernetBase
from .validation import MultiTaskValLoop

__all__ = [
    'CPUAmpOptimWrapper',
    'ChannelMeanLoss',
    'CheckpointHook',
    'DynamicWeightAverage',
    'EarlyStoppingHook',
    'FixedSampler',
    'GradientAggregation',
    'MultiTaskRunner',
    'MultiTaskTrainLoop',
    'MultiTaskValLoop',
    'SampleSubnetHook',
    'SandwichSampler',
    'SoftTargetLoss',
    'SupernetBase',
    'UncertaintyWeighting',
    'UniformSampler',
]
