"""How a task is trained alone: what its own upstream config says of it."""

from __future__ import annotations

import os.path as osp
from pathlib import Path
from typing import Any

from mdl_nas_mm.utils.config_file import read_config
from mdl_nas_mm.utils.task_names import check_tasks
from mdl_nas_mm.utils.type_names import config_with_names

from .config import resolve_joint_config
from .task_config import upstream_of

# Beside the data. What else a config has, such as hooks, may be of the model that it was made for.
_SCHEDULE = ('train_cfg', 'optim_wrapper', 'param_scheduler', 'auto_scale_lr', 'log_processor')


def own_training(path: str | Path, task: str) -> dict[str, Any]:
    """The training part of a task's own config, as settings of a config of upstream's.

    Args:
        path: of the joint config that has the task.
        task: its name there.

    Returns:
        ``train_dataloader``, as the joint config has it, and of the task's own config the loop, the
        optimizer, the schedule, and the hooks that mmengine has by default.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: it is no joint config with that task, or the task has no config of its own.
    """
    where, cfg = f'config {path}', read_config(path)
    tasks = cfg.get('tasks') or {}
    check_tasks(where, [task], tasks)
    own = tasks[task].get('config')
    if own is None:
        raise ValueError(
            f"{where}: task {task!r} has no 'config' of its own, which says how it is trained alone"
        )
    upstream = upstream_of(task, own, osp.dirname(path) or '.')
    found = resolve_joint_config(cfg, check_files=False)
    settings = config_with_names(upstream, found.tasks[task].scope)
    for key in ('train_cfg', 'optim_wrapper'):
        if settings.get(key) is None:
            raise ValueError(f'{where}: the config of task {task!r}, {own}, has no {key!r}')
    training = {key: settings[key] for key in _SCHEDULE if settings.get(key) is not None}
    hooks = dict(settings.get('default_hooks') or {})
    hooks.pop('visualization', None)
    return dict(train_dataloader=found.train_dataloader[task], default_hooks=hooks, **training)
