"""Parts of upstream models that some tasks have in common, such as a neck."""

from __future__ import annotations

import copy
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.logging import print_log
from torch import nn

from mdl_nas_mm.spec import Owners
from mdl_nas_mm.utils.private import hold_beside

PART_KEYS = ('module', 'tasks')


@dataclass(frozen=True)
class SharedPart:
    """A module that the upstream models of some tasks have alike.

    Attributes:
        name: what a config calls it.
        module: its path in each of the models, such as ``neck`` or ``roi_head.bbox_head``.
        tasks: its owners, in the order of the config's tasks.
    """

    name: str
    module: str
    tasks: tuple[str, ...]

    def to_config(self) -> dict[str, Any]:
        """What a joint model takes."""
        return dict(module=self.module, tasks=self.tasks)

    @property
    def owners(self) -> Owners:
        """The tasks as a set."""
        return Owners.of(*self.tasks)


def read_parts(config: Mapping | None, tasks: Sequence[str]) -> tuple[SharedPart, ...]:
    """Reads a joint config's ``parts``: name -> ``dict(module='neck', tasks=('det', 'seg'))``.

    The parameters that the tasks' models have alike in this module, by name and shape, are then
    owned by all these tasks; running statistics stay each task's own.

    Args:
        tasks: all tasks of the joint config, in its order.

    Raises:
        ValueError: a key is missing or unknown, a part is not of two or more of the tasks, or
            two parts of a task overlap.
    """
    if not isinstance(config or {}, Mapping):
        raise ValueError(f'parts: {config!r}, expected settings by name')
    parts = tuple(_read_part(name, value, tasks) for name, value in (config or {}).items())
    for i, part in enumerate(parts):
        for other in parts[:i]:
            paths = sorted(f'{p.module}.' for p in (part, other))
            both = set(part.tasks).intersection(other.tasks)
            if both and paths[1].startswith(paths[0]):
                raise ValueError(
                    f'parts.{part.name} and parts.{other.name} overlap in task {min(both)!r}: '
                    f'{part.module!r} and {other.module!r}'
                )
    return parts


def _read_part(name: str, config: Mapping, tasks: Sequence[str]) -> SharedPart:
    where = f'parts.{name}'
    if not isinstance(config, Mapping):
        raise ValueError(f'{where}: {config!r}, expected {PART_KEYS}')
    for key in config:
        if key not in PART_KEYS:
            raise ValueError(f'{where}: unknown key {key!r}, expected {PART_KEYS}')
    for key in PART_KEYS:
        if key not in config:
            raise ValueError(f'{where}: {key!r} is missing')
    module, owners = config['module'], config['tasks']
    if not isinstance(module, str) or module.split('.')[0] == 'backbone':
        raise ValueError(f'{where}: module is {module!r}, expected a path such as neck')
    if not isinstance(owners, (list, tuple)) or len(set(owners)) < 2:
        raise ValueError(f'{where}: tasks is {owners!r}, expected two or more')
    for task in owners:
        if task not in tasks:
            raise ValueError(f'{where}: there is no task {task!r}, only {sorted(tasks)}')
    return SharedPart(name, module, tuple(task for task in tasks if task in owners))


def common_parameters(part: SharedPart, models: Mapping[str, nn.Module]) -> list[str]:
    """The parameters of a part that all of its tasks have in the same shape, by relative name.

    Those that differ, as a classifier of other classes, stay each task's own, which is said.

    Args:
        models: all tasks of the part -> upstream model.

    Raises:
        ValueError: a model has no such module, or one of another class than the others, or the
            modules have nothing in common.
    """
    modules = {task: _module(part, task, models[task]) for task in part.tasks}
    first = part.tasks[0]
    for task, module in modules.items():
        if type(module) is not type(modules[first]):
            kinds = type(modules[first]).__name__, type(module).__name__
            raise ValueError(
                f'parts.{part.name}: {part.module!r} is a {kinds[0]} in task {first!r}, a '
                f'{kinds[1]} in task {task!r}'
            )
    shapes = [{n: p.shape for n, p in m.named_parameters()} for m in modules.values()]
    common = [n for n, shape in shapes[0].items() if all(s.get(n) == shape for s in shapes)]
    if not common:
        raise ValueError(f'parts.{part.name}: its tasks have no parameter of {part.module!r} alike')
    own = [name for name in dict.fromkeys(n for s in shapes for n in s) if name not in common]
    if own:
        print_log(
            f'parts.{part.name}: differs between {", ".join(part.tasks)}, so each has its own: '
            + ', '.join(own),
            'current',
            logging.WARNING,
        )
    return common


def _module(part: SharedPart, task: str, model: nn.Module) -> nn.Module:
    try:
        return model.get_submodule(part.module)
    except AttributeError:
        raise ValueError(
            f'parts.{part.name}: the model of task {task!r} has no module {part.module!r}'
        ) from None


def holder(module: nn.Module, names: Collection[str]) -> nn.Module:
    """A module that owns some of a module's parameters, under their names, and nothing else.

    Its submodules are of the same classes, since an optimizer's settings may depend on these. It
    is not to be called.
    """
    held = copy.deepcopy(module)
    for name, parameter in module.named_parameters():
        path, _, leaf = name.rpartition('.')
        setattr(held.get_submodule(path), leaf, parameter if name in names else None)
    for name, _ in module.named_buffers():
        path, _, leaf = name.rpartition('.')
        setattr(held.get_submodule(path), leaf, None)
    return held


def use_held(module: nn.Module, held: nn.Module) -> None:
    """Makes a module use the parameters of a ``holder``, which it then does not own itself."""
    own = dict(module.named_parameters())
    for name, parameter in held.named_parameters():
        path, _, leaf = name.rpartition('.')
        target = module.get_submodule(path)
        if name in own:
            delattr(target, leaf)
        hold_beside(target, leaf, parameter)


def put_submodule(module: nn.Module, path: str, child: nn.Module) -> None:
    """Puts a module where ``get_submodule`` finds it, inside of modules that have nothing else."""
    *outer, last = path.split('.')
    for name in outer:
        if not hasattr(module, name):
            module.add_module(name, nn.Module())
        module = getattr(module, name)
    module.add_module(last, child)
