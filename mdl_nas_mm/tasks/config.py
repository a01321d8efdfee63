"""A joint config names upstream configs and says what differs; this resolves it."""

from __future__ import annotations

import copy
import inspect
import logging
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.model import ModuleDict
from mmengine.registry import DATASETS

from mdl_nas_mm.elastic.inherit import is_pretrained
from mdl_nas_mm.utils.config_file import read_config
from mdl_nas_mm.utils.data_paths import data_paths, datasets_in
from mdl_nas_mm.utils.plain_config import plain_config, plain_value, without_delete
from mdl_nas_mm.utils.registries import registered
from mdl_nas_mm.utils.upstream import upstream_config_path

from .incremental import check_inputs, resolve_base
from .model_settings import check_model
from .recipes import common_recipe, with_weight_decay
from .subnets import resolve_subnets

TASK_KEYS = {
    'config',
    'scope',
    'score',
    'backbone',
    'loss_weight',
    'score_weight',
    'model',
    'train_dataloader',
    'val_dataloader',
    'val_evaluator',
    'search_dataloader',
    'search_evaluator',
}
UPSTREAM_KEYS = ('model', 'train_dataloader', 'val_dataloader', 'val_evaluator')
LIBRARIES = ('mmpretrain', 'mmdet', 'mmseg', 'mmpose')
BACKBONE_KEYS = ('out_type', 'out_indices', 'window_size', 'pad_small_map')
# What a task has that does not say it, unless the backbone has a value for all tasks.
BACKBONE_DEFAULTS = {'window_size': 0, 'pad_small_map': False}


def resolve_joint_config(cfg: Config, check_files: bool = True) -> Config:
    """Turns ``backbone`` and ``tasks`` into what a runner is built from.

    Adds ``model``, ``train_dataloader``, ``val_dataloader`` and ``val_evaluator``, the last
    three keyed by task, and leaves in ``tasks`` each task's scope, score and weights. Without an
    ``optim_wrapper`` it takes that of the tasks' configs, if they agree. A config that is already
    resolved comes back unchanged. Which subnets are used may be restricted; see
    ``resolve_subnets``. New tasks for what is trained already have its backbone; see
    ``resolve_base``.

    With ``trust_checkpoint=True`` checkpoints that the config names may hold more than data; see
    ``read_torch_file``.

    Args:
        check_files: whether the data has to be there.

    Raises:
        ValueError: a task's key is unknown, or something that a task needs is missing.
        FileNotFoundError: an upstream config or a data file is not there.
    """
    if 'model' in cfg:
        return cfg
    for key in ('backbone', 'tasks'):
        if key not in cfg and (key == 'tasks' or cfg.get('base') is None):
            raise ValueError(f'joint config: {key!r} is missing')
    for key, value in {
        **{key: cfg.get(key) for key in ('backbone', 'tasks', 'train_cfg', 'val_cfg')},
        **{f'tasks.{task}': value for task, value in _mapping(cfg.tasks).items()},
    }.items():
        if value is not None and not isinstance(value, Mapping):
            raise ValueError(f'joint config: {key} is {value!r}, expected settings by name')
    if not cfg.tasks:
        raise ValueError('joint config: no tasks given')
    folder = osp.dirname(cfg.filename) if cfg.filename else '.'
    cfg = _with_names(cfg)
    resolve_base(cfg, folder)
    resolve_subnets(cfg, folder)
    tasks = {name: _resolve_task(name, task, folder) for name, task in cfg.tasks.items()}
    for name, task in tasks.items():
        for split in ('train', 'val', 'search'):
            _check_counts(name, task[f'{split}_dataloader'])
    if check_files:
        for name, task in tasks.items():
            _check_files(name, task)
    if cfg.get('train_cfg') is not None:
        for name, task in tasks.items():
            _say_unused_hooks(name, task.custom_hooks)
    backbone = copy.deepcopy(cfg.backbone)
    if cfg.get('trust_checkpoint') and is_pretrained(backbone.get('init_cfg')):
        backbone.init_cfg.trust_checkpoint = True
    backbone['tasks'] = tuple(tasks)
    for key in BACKBONE_KEYS:
        if any(key in task.backbone for task in tasks.values()):
            backbone[key] = _by_task(key, tasks, backbone.get(key))
    cfg.model = dict(
        type='MultiTaskModel',
        backbone=backbone,
        tasks={name: dict(scope=task.scope, model=task.model) for name, task in tasks.items()},
    )
    if cfg.get('base') is not None:
        cfg.model.trained = cfg.trained
    keys = ['train_dataloader', 'search_dataloader', 'search_evaluator']
    # Without a validation loop mmengine refuses what only such a loop would use.
    keys += ['val_dataloader', 'val_evaluator'] if cfg.get('val_cfg') is not None else []
    for key in keys:
        cfg[key] = {name: task[key] for name, task in tasks.items()}
    if cfg.get('train_cfg') is not None and cfg.get('optim_wrapper') is None:
        recipes = {name: task.get('optim_wrapper') for name, task in tasks.items()}
        scopes = {name: task.scope for name, task in tasks.items()}
        cfg.optim_wrapper = common_recipe(recipes, scopes)
    if cfg.get('optim_wrapper') is not None:
        cfg.optim_wrapper = with_weight_decay(cfg.optim_wrapper)
    info = ('scope', 'score', 'loss_weight', 'score_weight')
    cfg.tasks = {name: {key: task[key] for key in info} for name, task in tasks.items()}
    if cfg.get('base') is not None:
        check_inputs(cfg)
    return cfg


def _with_names(cfg: Config) -> Config:
    """A copy with names in place of classes, but in ``tasks``, each of which is of a library."""
    cfg, said = copy.deepcopy(cfg), cfg.to_dict()
    for key in list(cfg):
        if key not in said:
            cfg.pop(key)
        elif key != 'tasks':
            cfg[key] = without_delete(plain_value(cfg[key], 'mdl_nas_mm', key))
    return cfg


def _mapping(value: Any) -> Mapping:
    return value if isinstance(value, Mapping) else {}


def _by_task(key: str, tasks: Mapping[str, ConfigDict], common: Any) -> dict[str, Any]:
    """Task -> its value of a backbone's key; ``common`` is the backbone's own value."""
    values = {}
    for name, task in tasks.items():
        if key not in task.backbone and key not in BACKBONE_DEFAULTS:
            raise ValueError(f'task {name!r}: backbone.{key} is missing')
        usual = BACKBONE_DEFAULTS.get(key)
        if common is not None and not isinstance(common, Mapping):
            usual = common
        values[name] = task.backbone.get(key, usual)
    return values


def _resolve_task(name: str, task: ConfigDict, folder: str) -> ConfigDict:
    """One task with everything spelled out."""
    if not name.isidentifier():
        raise ValueError(f'task {name!r}: a name is letters, digits and underscores')
    if hasattr(ModuleDict(), name):
        raise ValueError(f'task {name!r}: every torch module has an attribute of this name')
    for key in task:
        if key not in TASK_KEYS:
            raise ValueError(f'task {name!r}: unknown key {key!r}, expected {sorted(TASK_KEYS)}')
    for key in task.get('backbone', {}):
        if key not in BACKBONE_KEYS:
            raise ValueError(f'task {name!r}: unknown key backbone.{key}, not of {BACKBONE_KEYS}')
    if task.get('score') is None:
        raise ValueError(f"task {name!r}: 'score', the metric to maximise, is missing")
    upstream = _upstream(name, task.get('config'), folder)
    scope = task.get('scope', upstream.get('default_scope'))
    if scope is None:
        raise ValueError(f"task {name!r}: 'scope' (mmdet, mmseg, ...) is missing")
    upstream = plain_config(upstream, scope)
    task = ConfigDict(plain_value(task, scope, f'task {name!r}'))
    overrides = {key: task[key] for key in UPSTREAM_KEYS if key in task}
    merged = Config(upstream)
    merged.merge_from_dict(overrides)
    merged = without_delete(merged._cfg_dict)
    for key in UPSTREAM_KEYS:
        if merged.get(key) is None:
            raise ValueError(f'task {name!r}: its config has no {key!r}')
    check_model(name, scope, merged.model)
    resolved = ConfigDict(
        scope=scope,
        score=task.score,
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
        search = Config(dict(val=copy.deepcopy(merged[f'val_{key}'])))
        if f'search_{key}' in task:
            search.merge_from_dict(dict(val=task[f'search_{key}']))
        resolved[f'search_{key}'] = without_delete(search.val)
    return resolved


def _check_counts(task: str, config: Mapping) -> None:
    """Raises ValueError for a loader's number that is too small."""
    for key, least in dict(batch_size=1, num_workers=0).items():
        value = config.get(key, least)
        if type(value) is not int or value < least:
            raise ValueError(f'task {task!r}: {key} is {value!r}, expected at least {least}')


def _check_files(name: str, task: ConfigDict) -> None:
    for split in ('train', 'val', 'search'):
        # What such a data set cannot have it says itself when it is built.
        if _writes_its_files(task[f'{split}_dataloader'].dataset, task.scope):
            continue
        for key in (f'{split}_dataloader', f'{split}_evaluator'):
            check_data(task.get(key), f'task {name!r}, {key}')


def _say_unused_hooks(name: str, hooks: Sequence[Mapping]) -> None:
    """A task's hooks know a training of its own; equal buffers there are without one."""
    kinds = [str(hook['type']) for hook in hooks]
    kinds = [kind for kind in kinds if not kind.endswith('SyncBuffersHook')]
    if kinds:
        print_log(
            f'task {name!r}: the custom_hooks of its config are not used ({", ".join(kinds)}); '
            'those of the joint config are',
            'current',
            logging.WARNING,
        )


def _writes_its_files(dataset: Mapping, scope: str) -> bool:
    """Whether a data set may fetch or make its files: by ``download``, or a class of users' own."""
    for part in datasets_in(dataset):
        kind = registered(part['type'], DATASETS, scope)
        if not isinstance(kind, type):
            continue
        if kind.__module__.partition('.')[0] not in (*LIBRARIES, 'mmengine', 'mdl_nas_mm'):
            return True
        download = inspect.signature(kind).parameters.get('download')
        if download is not None and part.get('download', download.default):
            return True
    return False


def _upstream(name: str, path: str | None, folder: str) -> Config:
    if path is None:
        return Config()
    try:
        full = upstream_config_path(path, folder)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'task {name!r}: {error}') from None
    try:
        return read_config(full)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f'task {name!r}: {error}') from error


def _with_slot(merged: ConfigDict) -> ConfigDict:
    """The model config with an empty place where the backbone was."""
    model = copy.deepcopy(merged.model)
    model.pop('pretrained', None)
    if merged.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', merged.data_preprocessor)
    model['backbone'] = ConfigDict(type='mdl_nas_mm.BackboneSlot')
    return model


def check_data(config: Any, where: str) -> None:
    """Raises FileNotFoundError, naming ``where``, for a data file or folder that is not there."""
    for path in data_paths(config):
        if not osp.exists(path):
            raise FileNotFoundError(
                f'{where}: {path!r} is not there; check data_root, or where a part of the training '
                'set is meant, write it with tools/hold_out.py'
            )
