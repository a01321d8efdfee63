"""What an ``optim_wrapper`` may say in a joint training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from mdl_nas_mm.tasks.recipes import LAYER_DECAY

# Constructors that know the layers of their own libraries' backbones by name.
_BY_NAME = (
    'LayerDecayOptimWrapperConstructor',
    'LayerDecayOptimizerConstructor',
    'LearningRateDecayOptimizerConstructor',
)
_WRAPPERS = ('ApexOptimWrapper', 'ColossalAIOptimWrapper', 'DeepSpeedOptimWrapper')


def check_recipe(recipe: Mapping) -> None:
    """Raises ValueError for a setting that would be dropped; says what to write."""
    if 'optimizer' not in recipe:
        raise ValueError(
            'optim_wrapper.optimizer is missing; all tasks have one optimizer, rates of single '
            'layers are given by paramwise_cfg'
        )
    kind = last_name(recipe.get('type', 'OptimWrapper'))
    if kind in _WRAPPERS:
        raise ValueError(f"optim_wrapper.type is {kind!r}; write 'AmpOptimWrapper', or --amp")
    if recipe.get('accumulative_counts', 1) != 1:
        raise ValueError(
            'optim_wrapper: accumulative_counts is not used here; groups say how many batches '
            'make up a step'
        )
    paramwise = recipe.get('paramwise_cfg') or {}
    constructor = last_name(recipe.get('constructor') or '')
    if constructor in _BY_NAME:
        rate = paramwise.get('layer_decay_rate', paramwise.get('decay_rate', 0.9))
        raise ValueError(
            f'optim_wrapper.constructor: {constructor} goes by the names of other backbones; '
            f"write constructor='mmpretrain.{LAYER_DECAY}', "
            f'paramwise_cfg=dict(layer_decay_rate={rate}, flat_decay_mult=0.0)'
        )
    decay = paramwise.get('norm_decay_mult')
    if decay not in (None, 1.0, paramwise.get('flat_decay_mult')) and 'norm' not in (
        paramwise.get('custom_keys') or {}
    ):
        raise ValueError(
            f'optim_wrapper.paramwise_cfg: norm_decay_mult={decay} reaches norms of torch alone, '
            'not those of the backbone; add '
            f'custom_keys=dict(norm=dict(decay_mult={decay})), or write flat_decay_mult={decay}'
        )


def check_own_recipe(recipe: Mapping, where: str) -> None:
    """Raises ValueError for a setting of a step's own optimizer that would be dropped."""
    if 'optimizer' not in recipe:
        raise ValueError(f'{where}.optimizer is missing')
    kind = last_name(recipe.get('type', 'OptimWrapper'))
    if kind != 'OptimWrapper':
        raise ValueError(
            f"{where}.type is {kind!r}; write 'OptimWrapper': mixed precision is a setting of the "
            "model's optim_wrapper, whose loss scale counts here as well"
        )
    if recipe.get('accumulative_counts', 1) != 1:
        raise ValueError(f'{where}: accumulative_counts is not used here; remove it')


def check_mixed_precision(recipe: Mapping) -> None:
    """Raises ValueError for a mixed precision that this machine cannot run."""
    kind, cuda = last_name(recipe.get('type', 'OptimWrapper')), torch.cuda.is_available()
    if kind == 'AmpOptimWrapper' and not cuda:
        raise ValueError(
            'optim_wrapper: AmpOptimWrapper needs a GPU; start with --amp, which has the backbone '
            'in bfloat16 on a processor'
        )
    for key in ('loss_scale', 'dtype'):
        if kind == 'CPUAmpOptimWrapper' and recipe.get(key) is not None:
            raise ValueError(f'optim_wrapper.{key}: CPUAmpOptimWrapper is bfloat16, without scale')


def last_name(name: Any) -> str:
    """A class's name without its library."""
    return str(name).rpartition('.')[2]
