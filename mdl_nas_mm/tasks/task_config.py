"""One task of a joint config: its upstream config and what differs, all spelled out."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.model import ModuleDict

from mdl_nas_mm.utils.amounts import check_at_least
from mdl_nas_mm.utils.config_file import read_config
from mdl_nas_mm.utils.type_names import config_with_names, with_names, without_delete
from mdl_nas_mm.utils.upstream import upstream_config_path

from .model_settings import check_model
from .scores import Score

# What each is, for who reads the reference.
TASK_KEYS = dict(
    config='Path of an upstream config, or `mmdet::...` for one of an installed library.',
    scope='The library, where it is not the `default_scope` of `config`.',
    images='A name; tasks that say the same have the same images.',
    score='The metric that counts, or `dict(metric=..., scale=..., rule=...)`; needed.',
    reference='Metrics of its single-task model, for Delta_T.',
    backbone='What the backbone returns for this task, such as `out_indices`.',
    loss_weight='Factor of its loss, 1.',
    score_weight='Factor of its score in the sum of all, 1.',
    model='What differs in the model of `config`, or the whole model.',
    train_dataloader='What differs in the training loader, or the whole loader.',
    val_dataloader='What differs in the validation loader, or the whole loader.',
    val_evaluator='What differs in the evaluator, or the whole evaluator.',
    search_dataloader='What a search loads in place of the validation data.',
    search_evaluator='What differs in the evaluator, in a search.',
)
UPSTREAM_KEYS = ('model', 'train_dataloader', 'val_dataloader', 'val_evaluator')


def resolve_task(name: str, task: ConfigDict, folder: str, settings: Collection[str]) -> ConfigDict:
    """A task with everything of it that a joint config is made of.

    Args:
        name: of the task, for errors.
        task: as the joint config says it.
        folder: what the path of its upstream config starts from.
        settings: what a task may say of the backbone; see ``Family.task_settings``.

    Raises:
        ValueError: a key is unknown or missing, or the model cannot have an elastic backbone.
        FileNotFoundError: there is no such upstream config.
    """
    _check_keys(name, task, settings)
    upstream = upstream_of(name, task.get('config'), folder)
    scope = task.get('scope', upstream.get('default_scope'))
    if scope is None:
        raise ValueError(f"task {name!r}: 'scope' (mmdet, mmseg, ...) is missing")
    upstream = config_with_names(upstream, scope)
    task = ConfigDict(with_names(task, scope, f'task {name!r}'))
    merged = _merged(upstream, {key: task[key] for key in UPSTREAM_KEYS if key in task})
    for key in UPSTREAM_KEYS:
        if merged.get(key) is None:
            raise ValueError(f'task {name!r}: its config has no {key!r}')
    check_model(name, scope, merged.model)
    resolved = ConfigDict(
        scope=scope,
        images=task.get('images'),
        score=task.score,
        reference=task.get('reference'),
        loss_weight=task.get('loss_weight', 1.0),
        score_weight=task.get('score_weight', 1.0),
        backbone=task.get('backbone', {}),
        model=_with_slot(merged),
        train_dataloader=merged.train_dataloader,
        val_dataloader=merged.val_dataloader,
        val_evaluator=merged.val_evaluator,
        optim_wrapper=upstream.get('optim_wrapper'),
        custom_hooks=upstream.get('custom_hooks') or [],
    )
    for key in ('dataloader', 'evaluator'):
        own = {'val': task[f'search_{key}']} if f'search_{key}' in task else {}
        val = copy.deepcopy(merged[f'val_{key}'])
        resolved[f'search_{key}'] = _merged(dict(val=val), own).val
    return resolved


def _check_keys(name: str, task: ConfigDict, settings: Collection[str]) -> None:
    """Raises ValueError for a name that no task can have, or a key that is unknown or missing."""
    if not name.isidentifier():
        raise ValueError(f'task {name!r}: a name is letters, digits and underscores')
    if hasattr(ModuleDict(), name):
        raise ValueError(f'task {name!r}: every torch module has an attribute of this name')
    for key in task:
        if key not in TASK_KEYS:
            raise ValueError(f'task {name!r}: unknown key {key!r}, expected {sorted(TASK_KEYS)}')
    for key in task.get('backbone', {}):
        if key not in settings:
            raise ValueError(f'task {name!r}: unknown key backbone.{key}, not of {(*settings,)}')
    for key in ('loss_weight', 'score_weight'):
        check_at_least(task.get(key, 1.0), 0, f'task {name!r}: {key}')
    if task.get('score') is None:
        raise ValueError(f"task {name!r}: 'score', the metric to maximise, is missing")
    Score.read(name, task.score)


def upstream_of(name: str, path: str | None, folder: str) -> Config:
    """A task's own config; an empty one where it has none.

    Args:
        name: of the task, for errors.
        path: see ``upstream_config_path``.
        folder: what a path starts from.

    Raises:
        FileNotFoundError, ValueError: see ``read_config``.
    """
    if path is None:
        return Config()
    try:
        return read_config(upstream_config_path(path, folder))
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f'task {name!r}: {error}') from error


def _merged(config: dict[str, Any], changes: dict[str, Any]) -> ConfigDict:
    """A config with what differs in it; ``_delete_`` replaces."""
    merged = Config(config)
    # mmengine reads digits as places in a list, and fails at keys that are no text.
    merged.merge_from_dict(changes, allow_list_keys=_has_text_keys(changes))
    return without_delete(dict(merged.items()))


def _has_text_keys(config: Any) -> bool:
    """Whether all keys are text, unlike those of mmpose's ``keypoint_info``."""
    if not isinstance(config, Mapping):
        return True
    return all(isinstance(key, str) and _has_text_keys(value) for key, value in config.items())


def _with_slot(merged: ConfigDict) -> ConfigDict:
    """The model config with an empty place where the backbone was."""
    model = copy.deepcopy(merged.model)
    model.pop('pretrained', None)
    if merged.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', merged.data_preprocessor)
    model['backbone'] = ConfigDict(type='mdl_nas_mm.BackboneSlot')
    return model
