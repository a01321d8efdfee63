"""Parts of upstream models that some tasks have in common, such as a neck."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.logging import print_log
from torch import nn

from mdl_nas_mm.elastic import ElasticPart
from mdl_nas_mm.sharing import SharingKind, read_policy
from mdl_nas_mm.sharing.shared_rows import layers_by_channels
from mdl_nas_mm.spec import Owners
from mdl_nas_mm.spec.dimensions import check_ratio
from mdl_nas_mm.utils.amounts import is_number
from mdl_nas_mm.utils.task_names import check_tasks

# What each is, for who reads the reference.
PART_KEYS = dict(
    module='Its path in the models of the tasks, such as `neck` or `roi_head.bbox_head`.',
    tasks='The tasks that share it.',
)
POLICY_KEYS = dict(
    sharing='A kind of sharing by output channels, where not all of it is shared.',
    share_ratio='The part of the channels that is shared; needed beside `sharing`.',
)
OF_BASE = 'of'


@dataclass(frozen=True)
class SharedPart:
    """A module that the upstream models of some tasks have alike.

    Attributes:
        name: what a config calls it.
        module: its path in each of the models, such as ``neck`` or ``roi_head.bbox_head``.
        tasks: its owners, in the order of their names.
        sharing: config of the policy that says which output channels they share; all without it.
        share_ratio: of the output channels of each layer, as the policy takes it.
        of: a task of the base, whose module they take as it is; see ``resolve_base``.
    """

    name: str
    module: str
    tasks: tuple[str, ...]
    sharing: str | Mapping[str, Any] | None = None
    share_ratio: float | None = None
    of: str | None = None

    def to_config(self) -> dict[str, Any]:
        """What a joint model takes."""
        given = dict(sharing=self.sharing, share_ratio=self.share_ratio, of=self.of)
        given = {key: value for key, value in given.items() if value is not None}
        return dict(module=self.module, tasks=self.tasks, **given)

    @property
    def policy(self) -> SharingKind | None:
        """By which each layer is shared in part; None for a part that is shared wholly."""
        policy = None if self.sharing is None else read_policy(self.sharing)
        return policy if policy is not None and policy.has_specific else None

    @property
    def owners(self) -> Owners:
        """The tasks as a set."""
        return Owners.of(*self.tasks)


def read_parts(
    config: Mapping | None, tasks: Sequence[str], base: Collection[str] | None = None
) -> tuple[SharedPart, ...]:
    """Reads a joint config's ``parts``: name -> ``dict(module='neck', tasks=('det', 'seg'))``.

    The parameters that the tasks' models have alike in this module, by name and shape, are then
    owned by all these tasks; running statistics stay each task's own. With ``sharing``, a policy
    of ``SHARING_POLICIES``, and ``share_ratio`` they own some output channels of each layer
    together, and each task the others. New tasks for a base may take a module of one of its tasks,
    as it is: ``dict(module='neck', tasks=('pose',), of='seg')``.

    Args:
        config: of all parts.
        tasks: all tasks of the joint config.
        base: those of its base, where it has one.

    Raises:
        ValueError: a key is missing or unknown, a part is not of two or more of the tasks, two
            parts of a task overlap, a policy is not valid, or the base has no such task.
    """
    if not isinstance(config or {}, Mapping):
        raise ValueError(f'parts: {config!r}, expected settings by name')
    named = sorted((config or {}).items())
    parts = tuple(_read_part(name, value, tasks, base) for name, value in named)
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


def _read_part(
    name: str, config: Mapping, tasks: Sequence[str], base: Collection[str] | None
) -> SharedPart:
    where = f'parts.{name}'
    if not isinstance(config, Mapping):
        raise ValueError(f'{where}: {config!r}, expected {(*PART_KEYS,)}')
    for key in config:
        if key not in (*PART_KEYS, *POLICY_KEYS, OF_BASE):
            known = f'{(*PART_KEYS,)}, with {(*POLICY_KEYS,)} or {OF_BASE!r}'
            raise ValueError(f'{where}: unknown key {key!r}, expected {known}')
    policed = any(config.get(key) is not None for key in POLICY_KEYS)
    needed = (*PART_KEYS, *POLICY_KEYS) if policed else (*PART_KEYS,)
    for key in needed:
        if key not in config:
            raise ValueError(f'{where}: {key!r} is missing')
    module, owners = config['module'], config['tasks']
    if not isinstance(module, str) or module.split('.')[0] == 'backbone':
        raise ValueError(f'{where}: module is {module!r}, expected a path such as neck')
    of, least = config.get(OF_BASE), 2 if config.get(OF_BASE) is None else 1
    if not isinstance(owners, (list, tuple)) or len(set(owners)) < least:
        raise ValueError(
            f'{where}: tasks is {owners!r}, expected {"two" if least > 1 else "one"} or more'
        )
    check_tasks(where, owners, tasks)
    policy = {key: config[key] for key in needed if key in POLICY_KEYS}
    if policy:
        _check_policy(where, **policy)
    if of is not None and (policy or of not in (base or ())):
        wrong = f'is no task of the base, which has {sorted(base or ())}'
        if base is None:
            wrong = "needs a 'base'"
        elif policy:
            wrong = f'takes the part whole, without a policy; remove {(*POLICY_KEYS,)}, or of'
        raise ValueError(f'{where}: of={of!r} {wrong}')
    return SharedPart(name, module, tuple(t for t in tasks if t in owners), **policy, of=of)


def _check_policy(where: str, sharing: str | Mapping, share_ratio: float) -> None:
    if not isinstance(sharing, (str, Mapping)):
        raise ValueError(f'{where}: sharing is {sharing!r}, expected a policy')
    try:
        policy = read_policy(sharing)
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from None
    if not policy.has_shared:
        raise ValueError(f'{where}: by sharing {policy.type!r} nothing is shared; remove the part')
    if not is_number(share_ratio):
        raise ValueError(f'{where}: share_ratio is {share_ratio!r}, expected a number')
    check_ratio(share_ratio, where)


def common_parameters(part: SharedPart, models: Mapping[str, nn.Module]) -> list[str]:
    """The parameters of a part that all of its tasks have in the same shape, by relative name.

    Those that differ, as a classifier of other classes, stay each task's own, which is said.

    Args:
        part: the module and its tasks.
        models: all tasks of the part -> upstream model.

    Raises:
        ValueError: a model has no such module, an elastic one, or one of another class than the
            others, or the modules have nothing in common.
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
        found = model.get_submodule(part.module)
    except AttributeError:
        raise ValueError(
            f'parts.{part.name}: the model of task {task!r} has no module {part.module!r}'
        ) from None
    names = part.module.split('.')
    around = (model.get_submodule('.'.join(names[:depth])) for depth in range(1, len(names)))
    if any(isinstance(module, ElasticPart) for module in (*around, *found.modules())):
        raise ValueError(
            f'parts.{part.name}: {part.module!r} is elastic in task {task!r}, and chooses sizes '
            'for this task alone; remove the part'
        )
    return found


def layers_in_part(part: SharedPart, module: nn.Module, common: Sequence[str]) -> dict[str, list]:
    """Path of a layer -> names of its parameters, of the layers that a policy shares in part.

    What else the tasks have in common is shared wholly, which is said.

    Args:
        part: what is shared, by which policy.
        module: of the first task.
        common: see ``common_parameters``.

    Raises:
        ValueError: there is no such layer.
    """
    if part.policy is None:
        return {}
    found = {}
    for path, leaves in layers_by_channels(module).items():
        alike = [leaf for leaf in leaves if _joined(path, leaf) in common]
        if alike:
            found[path] = alike
    if not found:
        raise ValueError(
            f'parts.{part.name}: sharing: {part.module!r} has no linear map, convolution or norm '
            'whose output channels tasks could share'
        )
    whole = wholly_shared(common, found)
    if whole:
        print_log(
            f'parts.{part.name}: shared wholly, as they have no output channels to share: '
            + ', '.join(whole),
            'current',
            logging.WARNING,
        )
    return found


def wholly_shared(common: Sequence[str], layers: Mapping[str, Sequence[str]]) -> list[str]:
    """What of the common parameters is in none of the layers that are shared in part."""
    partly = {_joined(path, leaf) for path, leaves in layers.items() for leaf in leaves}
    return [name for name in common if name not in partly]


def _joined(path: str, leaf: str) -> str:
    """The name of a layer's parameter; the module itself has no path."""
    return f'{path}.{leaf}' if path else leaf
