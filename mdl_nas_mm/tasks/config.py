"""A joint config names upstream configs and says what differs; this resolves it."""

from __future__ import annotations

import copy
import logging
import os.path as osp
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from mdl_nas_mm.elastic.family import REQUIRED, TaskSetting
from mdl_nas_mm.elastic.inherit import is_pretrained
from mdl_nas_mm.elastic.known import family_of
from mdl_nas_mm.utils.type_names import with_names, without_delete

from . import data_files
from .image_groups import check_image_names
from .incremental import check_inputs, resolve_base
from .loader_settings import check_counts
from .pass_groups import check_tied, pass_groups_of
from .recipes import common_recipe, with_weight_decay
from .resolved import KEYS_OF_TASK, MADE, ResolvedConfig, check_same, unresolved
from .shared_parts import read_parts
from .subnets import check_subnets, given_spec, resolve_subnets
from .task_config import resolve_task


def resolve_joint_config(cfg: Config, check_files: bool = True) -> ResolvedConfig:
    """Turns ``backbone`` and ``tasks`` into what a runner is built from.

    Adds ``model``, ``train_dataloader``, ``val_dataloader`` and ``val_evaluator``, the last
    three keyed by task, and leaves in ``tasks`` each task's scope, score and weights. Without an
    ``optim_wrapper`` it takes that of the tasks' configs, if they agree. Which subnets are used
    may be restricted; see ``check_subnets``. What tasks share beside the backbone is said by
    ``parts``; see ``read_parts``. Tasks with the same ``images`` have their images in common; see
    ``image_groups``. New tasks for what is trained already have its backbone; see
    ``resolve_base``.

    Tasks and parts are in the order of their names, whatever that of the config is, so that numbers
    do not depend on it.

    A ``ResolvedConfig`` comes back unchanged. One that was written to a file, where it says
    ``resolved=True``, is resolved and checked again.

    With ``trust_checkpoint=True`` checkpoints that the config names may hold more than data; see
    ``read_torch_file``.

    Args:
        cfg: the joint config; it stays as it is.
        check_files: whether the data has to be there.

    Raises:
        ValueError: a task's key is unknown, something that a task needs is missing, its score is
            none that its evaluator gives, tasks that share a pass have different backbones, or the
            config has what is to be made of its tasks.
        FileNotFoundError: an upstream config or a data file is not there.
    """
    if isinstance(cfg, ResolvedConfig):
        return cfg
    _check_form(cfg)
    if cfg.get('resolved'):
        again = resolve_joint_config(unresolved(cfg), check_files)
        check_same(cfg, again)
        return again
    _check_not_made(cfg)
    folder = osp.dirname(cfg.filename) if cfg.filename else '.'
    cfg = _with_names(cfg)
    # Sums depend on their order, and mmengine writes a config with its keys in order.
    cfg.tasks = {name: cfg.tasks[name] for name in sorted(cfg.tasks)}
    old = resolve_base(cfg, folder)
    check_subnets(cfg, folder)
    check_image_names(cfg.tasks)
    settings = family_of(cfg.backbone).task_settings
    tasks = {name: resolve_task(name, task, folder, settings) for name, task in cfg.tasks.items()}
    for name, task in tasks.items():
        for key in ('train_dataloader', 'val_dataloader', 'search_dataloader'):
            check_counts(f'task {name!r}, {key}', task[key])
        if check_files:
            data_files.check_files(name, task)
        if cfg.get('train_cfg') is not None:
            _say_unused_hooks(name, task.custom_hooks)
    cfg.model = _model(cfg, tasks, old)
    resolve_subnets(cfg, folder)
    keys = ['train_dataloader', 'search_dataloader', 'search_evaluator']
    # Without a validation loop mmengine refuses what only such a loop would use.
    keys += ['val_dataloader', 'val_evaluator'] if cfg.get('val_cfg') is not None else []
    for key in keys:
        cfg[key] = {name: task[key] for name, task in tasks.items()}
    _complete_recipe(cfg, tasks)
    cfg.tasks = {name: {key: task[key] for key in KEYS_OF_TASK} for name, task in tasks.items()}
    cfg.resolved = True
    if cfg.get('base') is not None:
        check_inputs(cfg)
    cfg = ResolvedConfig.of(cfg)
    if cfg.get('joint_spec') is not None:
        check_tied(pass_groups_of(cfg).shared, given_spec(cfg))
    for task in cfg.tasks.values():
        for split in filter(None, (task.val, task.search)):
            task.scoring(split)
        task.single_task()
    return cfg


def _check_form(cfg: Config) -> None:
    """Raises ValueError unless a config has tasks, and a backbone or a base, by their keys."""
    for key in ('backbone', 'tasks'):
        if key not in cfg and (key == 'tasks' or cfg.get('base') is None):
            raise ValueError(f'joint config: {key!r} is missing')
    parts = {key: cfg.get(key) for key in ('backbone', 'tasks', 'train_cfg', 'val_cfg')}
    if isinstance(cfg.tasks, Mapping):
        parts |= {f'tasks.{name}': task for name, task in cfg.tasks.items()}
    for key, value in parts.items():
        if value is not None and not isinstance(value, Mapping):
            raise ValueError(f'joint config: {key} is {value!r}, expected settings by name')
    if not cfg.tasks:
        raise ValueError('joint config: no tasks given')


def _check_not_made(cfg: Config) -> None:
    """Raises ValueError for what is made of the tasks, and would be neither used nor checked."""
    for key in MADE:
        if cfg.get(key) is not None:
            name = next(iter(cfg.tasks))
            raise ValueError(
                f'joint config: {key!r} is made of the tasks; give tasks.{name}.{key} and the like '
                'instead, or, in a config that a training of an earlier version has written, '
                'resolved=True'
            )


def _with_names(cfg: Config) -> Config:
    """A copy with names in place of classes, but in ``tasks``, each of which is of a library."""
    cfg, said = copy.deepcopy(cfg), cfg.to_dict()
    for key in list(cfg):
        if key not in said:
            cfg.pop(key)
        elif key != 'tasks':
            cfg[key] = without_delete(with_names(cfg[key], 'mdl_nas_mm', key))
    return cfg


def _model(
    cfg: Config, tasks: Mapping[str, ConfigDict], old: Collection[str] | None
) -> dict[str, Any]:
    """The config of the joint model; ``old`` are the tasks of the base, where there is one."""
    model = dict(
        type='MultiTaskModel',
        backbone=_backbone(cfg, tasks),
        tasks={name: dict(scope=task.scope, model=task.model) for name, task in tasks.items()},
    )
    parts = read_parts(cfg.get('parts'), tuple(tasks), old)
    if parts:
        model['parts'] = {part.name: part.to_config() for part in parts}
    if cfg.get('base') is not None:
        model['trained'] = cfg.trained
    return model


def _complete_recipe(cfg: Config, tasks: Mapping[str, ConfigDict]) -> None:
    """Writes the optimizer of a training, where the config has none that of the tasks."""
    if cfg.get('train_cfg') is not None and cfg.get('optim_wrapper') is None:
        recipes = {name: task.get('optim_wrapper') for name, task in tasks.items()}
        scopes = {name: task.scope for name, task in tasks.items()}
        cfg.optim_wrapper = common_recipe(recipes, scopes)
    if cfg.get('optim_wrapper') is not None:
        cfg.optim_wrapper = with_weight_decay(cfg.optim_wrapper)


def _backbone(cfg: Config, tasks: Mapping[str, ConfigDict]) -> ConfigDict:
    """The config of the backbone of all tasks, with what each of them says of it."""
    backbone = copy.deepcopy(cfg.backbone)
    if cfg.get('trust_checkpoint') and is_pretrained(backbone.get('init_cfg')):
        backbone.init_cfg.trust_checkpoint = True
    backbone['tasks'] = tuple(tasks)
    for key, setting in family_of(backbone).task_settings.items():
        if any(key in task.backbone for task in tasks.values()):
            backbone[key] = _by_task(key, setting, tasks, backbone.get(key))
    return backbone


def _by_task(
    key: str, setting: TaskSetting, tasks: Mapping[str, ConfigDict], common: Any
) -> dict[str, Any]:
    """Task -> its value of a backbone's key; ``common`` is the backbone's own value."""
    values = {}
    for name, task in tasks.items():
        if key not in task.backbone and setting.default is REQUIRED:
            raise ValueError(f'task {name!r}: backbone.{key} is missing')
        usual = setting.default
        if common is not None and not isinstance(common, Mapping):
            usual = common
        values[name] = task.backbone.get(key, usual)
    return values


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
