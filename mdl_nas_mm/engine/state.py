"""The state of a training by names of parameters, for any number of processes to go on from.

torch numbers parameters in the order in which a process holds them, and mmengine's schedulers
keep lists in that order. Both differ between ranks; names do not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mdl_nas_mm.spec.owners import COPY, Owners, bare, is_of_joint_model, owners_of
from mdl_nas_mm.utils.private import SCHEDULED_BY_GROUP, ParamScheduler, set_last_values

from .groups import TaskGroups


def optimizer_state(optim_wrapper: OptimWrapper, model: nn.Module) -> dict[str, Any]:
    """Moments and settings by name of the parameter.

    Returns:
        ``state``: name -> the optimizer's state of the parameter; ``settings``: name -> learning
        rate, decay and so on; ``base_settings``: those that are logged; ``loss_scaler``, where
        there is one.
    """
    optimizer, names = optim_wrapper.optimizer, {p: name for name, p in model.named_parameters()}
    settings = {}
    for group in optimizer.param_groups:
        values = {key: value for key, value in group.items() if key != 'params'}
        settings.update({names[parameter]: values for parameter in group['params']})
    state = {names[parameter]: state for parameter, state in optimizer.state.items()}
    whole = dict(state=state, settings=settings)
    base = getattr(optim_wrapper, 'base_param_settings', None)
    if base is not None:
        whole['base_settings'] = {k: v for k, v in base.items() if k != 'params'}
    if hasattr(optim_wrapper, 'loss_scaler'):
        whole['loss_scaler'] = optim_wrapper.loss_scaler.state_dict()
    return whole


def load_optimizer_state(optim_wrapper: OptimWrapper, model: nn.Module, saved: Mapping) -> None:
    """Takes over what ``optimizer_state`` gave, for the parameters that are here.

    A loss scale begins anew where the training had none, as one on a processor.

    Raises:
        ValueError: names a parameter that the saved state does not know.
    """
    optimizer, names = optim_wrapper.optimizer, {p: name for name, p in model.named_parameters()}
    state, groups, index = {}, [], 0
    for group in optimizer.param_groups:
        numbers = []
        for parameter in group['params']:
            name = names[parameter]
            if name not in saved['settings']:
                raise ValueError(f'the checkpoint has no optimizer state of {name!r}')
            if name in saved['state']:
                state[index] = saved['state'][name]
            numbers.append(index)
            index += 1
        groups.append({**saved['settings'][names[group['params'][0]]], 'params': numbers})
    optimizer.load_state_dict(dict(state=state, param_groups=groups))
    base = getattr(optim_wrapper, 'base_param_settings', None)
    if base is not None:
        base.update(saved['base_settings'])
    if hasattr(optim_wrapper, 'loss_scaler') and saved.get('loss_scaler'):
        optim_wrapper.loss_scaler.load_state_dict(saved['loss_scaler'])


def scheduler_state(scheduler: ParamScheduler) -> dict[str, Any]:
    """Where a scheduler is, without what belongs to parameter groups, nor its functions."""
    state = scheduler.state_dict().items()
    return {key: v for key, v in state if key not in SCHEDULED_BY_GROUP and not callable(v)}


def load_scheduler_state(scheduler: ParamScheduler, saved: Mapping) -> None:
    """Takes over what ``scheduler_state`` gave; the optimizer's state has to be loaded before."""
    scheduler.load_state_dict(dict(saved))
    set_last_values(scheduler)


def leave_out(checkpoint: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The checkpoint without some weights, of the model and of copies of it (EMA)."""
    return {
        key: {k: v for k, v in value.items() if bare(k) not in names} if _is_named(value) else value
        for key, value in checkpoint.items()
    }


def put_back(checkpoint: Mapping[str, Any], weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The reverse of ``leave_out``."""
    whole = dict(checkpoint)
    for key, value in checkpoint.items():
        if _is_named(value):
            prefix = COPY if any(name.startswith(COPY) for name in value) else ''
            whole[key] = {prefix + name: weight for name, weight in weights.items()} | dict(value)
    return whole


def whole_state(local: dict[str, Any], ranks: TaskGroups) -> dict[str, Any] | None:
    """One checkpoint of what all ranks have, on rank 0; None on the others.

    What is shared comes from rank 0, what some tasks own from the first of their ranks.
    """
    parts = ranks.gather(_led(local, ranks) if ranks.rank else None)
    if parts is None:
        return None
    for part in filter(None, parts):
        _merge(local, part)
    return local


def own_state(whole: dict[str, Any], ranks: TaskGroups) -> dict[str, Any]:
    """The part of a whole checkpoint that concerns this process.

    Entries of tasks that the training does not have stay, so that they are noticed.
    """
    others = Owners(frozenset(ranks.assignment.tasks) - frozenset(ranks.tasks))
    if not others.tasks:
        return whole
    return {
        key: {k: v for k, v in value.items() if not owners_of(k) <= others}
        if _is_named(value)
        else own_state(value, ranks)
        if key == 'optimizer'
        else value
        for key, value in whole.items()
    }


def _led(local: Mapping[str, Any], ranks: TaskGroups) -> dict[str, Any]:
    """The entries by name whose owners have this rank as their first."""
    part = {}
    for key, value in local.items():
        if _is_named(value):
            part[key] = {k: v for k, v in value.items() if ranks.leads(owners_of(k))}
        elif key == 'optimizer':
            part[key] = _led(value, ranks)
    return part


def _merge(whole: dict[str, Any], part: Mapping[str, Any]) -> None:
    for key, value in part.items():
        if key == 'optimizer':
            _merge(whole[key], value)
        else:
            whole[key].update(value)


def _is_named(value: Any) -> bool:
    """Whether a mapping has an entry for each parameter or buffer of a joint model."""
    return isinstance(value, Mapping) and any(map(is_of_joint_model, value))


def to_cpu(value: Any) -> Any:
    """Nested dicts, lists and tuples with their tensors on the CPU; all else as it is."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    # Counters, as some schedulers have, are made of other things than pairs.
    if type(value) in (dict, OrderedDict):
        return type(value)((k, to_cpu(v)) for k, v in value.items())
    if type(value) in (list, tuple):
        return type(value)(to_cpu(v) for v in value)
    return value
