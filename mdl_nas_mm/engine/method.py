"""A training's sampler and step: how they are built, saved, and taken up again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch import Tensor

from mdl_nas_mm.registry import STEPS, SUBNET_SAMPLERS
from mdl_nas_mm.spec import JointSpec, SearchSpace
from mdl_nas_mm.spec.owners import ALL
from mdl_nas_mm.tasks import MultiTaskModel
from mdl_nas_mm.utils.randomness import derive_seed, seeded

from .balancing import build_balancer
from .samplers import SubnetSampler
from .state import (
    load_optimizer_state,
    load_scheduler_state,
    optimizer_state,
    scheduler_state,
)
from .step import Step

Spaces = Mapping[str, SearchSpace]


def build_sampler(
    config: Mapping[str, Any] | None, spaces: Spaces, seed: int, joint_spec: JointSpec | None
) -> SubnetSampler:
    """The sampler that a config names; without one that of MDL-NAS, or what ``joint_spec`` says."""
    if config is None:
        config = dict(type='SandwichSampler')
        if joint_spec is not None:
            config = dict(type='FixedSampler', specs=joint_spec)
    return SUBNET_SAMPLERS.build({**config, 'spaces': spaces, 'seed': seed})


def build_step(
    config: Mapping[str, Any] | None,
    spaces: Spaces,
    seed: int,
    model: MultiTaskModel,
    joint_spec: JointSpec | None,
) -> Step:
    """The step that a config names, with its own optimizer; without one that of MDL-NAS.

    Its parameters are initialised from a seed of their own, the same on every process.

    Args:
        config: ``train_cfg.step``.
        spaces: task -> what its subnets are sampled from.
        seed: of the training.
        model, joint_spec: see ``Step.adapt``.

    Raises:
        ValueError: it has parameters and no optimizer, an optimizer or schedules of nothing, no
            such interval, or gradients to look at of nothing that all tasks train.
    """
    config = dict(config or dict(type='JointStep'))
    schedules = config.pop('param_scheduler', None) or []
    balance = config.pop('balance', None)
    interval = config.pop('grad_norm_interval', 0)
    if not isinstance(interval, int) or interval < 0:
        raise ValueError(
            f'train_cfg.step.grad_norm_interval is {interval!r}, not a number of steps'
        )
    with seeded(derive_seed(seed, 'step')):
        step: Step = STEPS.build({**config, 'spaces': spaces})
        if balance is not None:
            step.balance = build_balancer(balance, tuple(spaces))
        step.adapt(model, joint_spec)
    step.grad_norm_interval = interval
    _check_shared(step, model)
    has_parameters = any(True for _ in step.parameters())
    if has_parameters != (step.optim_config is not None):
        missing = 'is missing, for its own parameters' if has_parameters else 'has no parameters'
        raise ValueError(f'train_cfg.step: {type(step).__name__}: optim_wrapper {missing}')
    step.to(get_device())
    if step.optim_config is not None:
        step.optim_wrapper = build_optim_wrapper(step, dict(step.optim_config))
    elif schedules:
        raise ValueError(
            f'train_cfg.step: {type(step).__name__}: param_scheduler has no optimizer, as the step '
            'has no parameters'
        )
    for schedule in schedules if isinstance(schedules, (list, tuple)) else [schedules]:
        there = dict(optimizer=step.optim_wrapper)
        step.schedules.append(PARAM_SCHEDULERS.build(dict(schedule), default_args=there))
    return step


def _check_shared(step: Step, model: MultiTaskModel) -> None:
    """Raises ValueError where it looks at gradients of shared weights, and none is trained."""
    aggregates = step.balance is not None and step.balance.takes_gradients
    if not (aggregates or step.grad_norm_interval):
        return
    if not any(p.requires_grad for p in model.parameters_by_owners()[ALL]):
        key = f'balance: {type(step.balance).__name__}' if aggregates else 'grad_norm_interval'
        raise ValueError(
            f'train_cfg.step.{key} has nothing to look at: the tasks train no weight that all of '
            'them share; remove it'
        )


def method_state(sampler: SubnetSampler, step: Step) -> dict[str, Any]:
    """What a checkpoint has to hold of them; empty where they have no state.

    Returns:
        ``sampler``: what it says of itself; ``step``: its parameters and buffers; ``optimizer``
        and ``schedules``: see ``optimizer_state`` and ``scheduler_state``.
    """
    state: dict[str, Any] = dict(sampler=sampler.state_dict(), step=dict(step.state_dict()))
    if step.optim_wrapper is not None:
        state['optimizer'] = optimizer_state(step.optim_wrapper, step)
        state['schedules'] = [scheduler_state(schedule) for schedule in step.schedules]
    return {key: value for key, value in state.items() if value}


def load_method_state(
    path: str | Path, sampler: SubnetSampler, step: Step, state: Mapping[str, Any]
) -> None:
    """Takes over what ``method_state`` gave.

    Args:
        path: the checkpoint that it is from.
        sampler, step: which take it over.
        state: as ``method_state`` gave it.

    Raises:
        ValueError: it is of another step or sampler.
    """
    where = f'checkpoint {path} does not fit train_cfg'
    ours = method_state(sampler, step)
    for key in ('sampler', 'step', 'optimizer'):
        if (key in ours) != (key in state):
            said = 'has no' if key in ours else 'has a'
            raise ValueError(f'{where}: it {said} state of a {key}, under method.{key}')
    _check_same(step.state_dict(), state.get('step', {}), f'{where}.step')
    step.load_state_dict(state.get('step', {}))
    if step.optim_wrapper is not None:
        load_optimizer_state(step.optim_wrapper, step, state['optimizer'])
    saved = state.get('schedules', ())
    if len(saved) != len(step.schedules):
        raise ValueError(
            f'{where}.step.param_scheduler: it has {len(saved)} schedules under '
            f'method.schedules, not {len(step.schedules)}'
        )
    for schedule, of_schedule in zip(step.schedules, saved):
        load_scheduler_state(schedule, of_schedule)
    if 'sampler' in state:
        sampler.load_state_dict(state['sampler'])


def _check_same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], where: str) -> None:
    for key in (*ours, *theirs):
        if key not in ours or key not in theirs:
            whose = 'checkpoint' if key in theirs else 'step'
            raise ValueError(f'{where}: only the {whose} has {key!r}')
        if torch.is_tensor(ours[key]) and ours[key].shape != theirs[key].shape:
            shapes = f'{tuple(theirs[key].shape)}, not {tuple(ours[key].shape)}'
            raise ValueError(f'{where}: {key!r} has shape {shapes}')
