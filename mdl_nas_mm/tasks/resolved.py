"""A resolved config: a joint one with all that a runner is built from."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mdl_nas_mm.elastic.known import family_of

from .image_groups import image_groups
from .incremental import OWN_SETTINGS
from .scores import Score
from .task import Split, Task

# What resolving adds, each by task but the first.
MADE = (
    'model',
    'train_dataloader',
    'val_dataloader',
    'val_evaluator',
    'search_dataloader',
    'search_evaluator',
)
# What stays of a task beside these.
KEYS_OF_TASK = ('scope', 'images', 'score', 'reference', 'loss_weight', 'score_weight')


class ResolvedConfig(Config):
    """What ``resolve_joint_config`` returns, and nothing else makes.

    It is a config of mmengine, whose runner takes, copies and writes such. The type says that all
    checks have been made. Written as text, it says ``resolved=True``; what is read with this is
    resolved and checked anew, see ``unresolved``.
    """

    @classmethod
    def of(cls, cfg: Config) -> ResolvedConfig:
        """A config that has all keys of a resolved one."""
        resolved = cls()
        resolved.__setstate__(cfg.__getstate__())
        return resolved

    @property
    def pretty_text(self) -> str:
        """Its text as Python; formatted once, which takes a second or two, while nothing changes.

        A runner asks for it at its start, several times, and for each checkpoint.
        """
        content = repr(self.to_dict())
        # Beside the config's own keys, where copies of the config have it as well.
        if self.__dict__.get('_formatted', ('',))[0] != content:
            self.__dict__['_formatted'] = content, super().pretty_text
        return self.__dict__['_formatted'][1]

    @property
    def tasks(self) -> dict[str, Task]:
        """The tasks, by name, in the order of the names."""
        return {name: self._task(name, info) for name, info in self['tasks'].items()}

    @property
    def image_groups(self) -> dict[str, tuple[str, ...]]:
        """Name of an image group -> its tasks, two or more, in the order of the names."""
        return image_groups(self['tasks'])

    def _task(self, name: str, info: Mapping[str, Any]) -> Task:
        return Task(
            name,
            info['scope'],
            self['model']['tasks'][name]['model'],
            Score.read(name, info['score']),
            info['loss_weight'],
            info['score_weight'],
            train=self['train_dataloader'][name],
            val=self._split('val', name),
            search=self._split('search', name),
            images=info.get('images'),
            reference=info.get('reference'),
        )

    def _split(self, which: str, task: str) -> Split | None:
        loaders = self.get(f'{which}_dataloader')
        return loaders and Split(loaders[task], self[f'{which}_evaluator'][task])


def unresolved(cfg: Config) -> Config:
    """A joint config that resolves to one that was written resolved.

    Raises:
        ValueError: it has not the form of a resolved config; names the key.
    """
    cfg = copy.deepcopy(cfg)
    made = {key: cfg.pop(key, None) for key in MADE}
    cfg.pop('resolved')
    for key in ('dataloader', 'evaluator'):
        made[f'val_{key}'] = made[f'val_{key}'] or made[f'search_{key}']
    model = made['model'] or {}
    made['model'], backbone = model.get('tasks'), model.get('backbone') or {}
    for key, of_tasks in made.items():
        if not isinstance(of_tasks, Mapping) or set(of_tasks) != set(cfg.tasks):
            raise ValueError(f'resolved config: {key} is not of the tasks {sorted(cfg.tasks)}')
    settings = family_of(backbone, 'resolved config, model.backbone').task_settings
    for name, task in cfg.tasks.items():
        for key in task:
            if key not in KEYS_OF_TASK:
                raise ValueError(f'resolved config: tasks.{name}.{key} is not used; see its {MADE}')
        task.update({key: of_tasks[name] for key, of_tasks in made.items()})
        for key in ('search_dataloader', 'search_evaluator'):
            # It is whole: what it leaves out of the validation's is not to come back.
            if isinstance(task[key], Mapping):
                task[key] = dict(task[key], _delete_=True)
        task.model = task.model.get('model')
        by_task = {key: backbone.get(key) for key in settings}
        task.backbone = {k: v[name] for k, v in by_task.items() if isinstance(v, Mapping)}
    if cfg.get('base') is not None:
        own = cfg.get('backbone') or {}
        cfg.backbone = {key: own[key] for key in OWN_SETTINGS if key in own}
    return cfg


def check_same(cfg: Config, again: ResolvedConfig) -> None:
    """Raises ValueError where a config that was written resolved now resolves to something else."""
    for key in MADE:
        path = _difference(cfg.get(key), again.get(key), key)
        if path is not None:
            raise ValueError(
                f'resolved config: {path} is not what backbone, tasks and base say; change '
                'backbone, or resolve the config that it was made of again'
            )


def _difference(theirs: Any, ours: Any, path: str) -> str | None:
    """Where two values differ first, as they are in any kind of file; None where they do not."""
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        for key in dict.fromkeys((*theirs, *ours)):
            found = _difference(theirs.get(key), ours.get(key), f'{path}.{key}')
            if found is not None:
                return found
        return None
    is_same = theirs == ours
    if isinstance(theirs, (list, tuple)) and isinstance(ours, (list, tuple)):
        is_same = len(theirs) == len(ours) and not any(
            _difference(a, b, path) for a, b in zip(theirs, ours)
        )
    return None if is_same else path
