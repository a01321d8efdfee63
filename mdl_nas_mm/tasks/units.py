"""Which tasks have their passes through the backbone together."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.registry import MODELS as ROOT_MODELS

from mdl_nas_mm.elastic.backbone import of_task
from mdl_nas_mm.elastic.family import TaskSetting
from mdl_nas_mm.elastic.known import family_of
from mdl_nas_mm.sharing import Sharing
from mdl_nas_mm.spec import JointSpec, SubnetSpec
from mdl_nas_mm.spec.spec import united
from mdl_nas_mm.utils.registries import registered

from .resolved import ResolvedConfig

# Arguments of data preprocessors that concern labels, or nothing that a model is given.
_OF_LABELS = {
    *('pad_mask', 'mask_pad_value', 'pad_seg', 'seg_pad_value', 'seg_pad_val', 'boxtype2tensor'),
    *('num_classes', 'to_onehot', 'non_blocking'),
}

Unit = tuple[str, ...]


@dataclass(frozen=True)
class Units:
    """The tasks of a joint config by what they share.

    Attributes:
        of: what has a loader of its own, a task or an image group -> its units, each of tasks
            that share a pass: one architecture of the backbone, one forward and backward pass.
        notes: a line for each group of images: which of its tasks share a pass, and why others
            do not.
    """

    of: Mapping[str, tuple[Unit, ...]]
    notes: tuple[str, ...] = ()

    @property
    def shared(self) -> list[Unit]:
        """The units of several tasks."""
        return [unit for units in self.of.values() for unit in units if len(unit) > 1]


def find_units(
    groups: Mapping[str, Sequence[str]],
    backbone: Mapping[str, Any],
    models: Mapping[str, Mapping[str, Any]],
) -> Units:
    """The units of all tasks.

    Tasks of an image group share a pass if the backbone has no weights of single tasks, their
    settings of it are the same, and their data preprocessors do the same to images.

    Args:
        groups: name of an image group -> its tasks.
        backbone: config of the backbone of all tasks.
        models: task -> ``dict(scope=..., model=...)``, all tasks in the order of their names.
    """
    group_of = {task: name for name, tasks in groups.items() for task in tasks}
    found: dict[str, tuple[Unit, ...]] = {}
    notes = []
    for task in models:
        name = group_of.get(task)
        if name is None:
            found[task] = ((task,),)
        elif name not in found:
            found[name], reasons = _of_group(groups[name], backbone, models)
            notes.append(_note(name, found[name], reasons))
    return Units(found, tuple(notes))


def units_of(cfg: ResolvedConfig) -> Units:
    """The units of a resolved config."""
    return find_units(cfg.image_groups, cfg.model.backbone, cfg.model.tasks)


def tied(
    units: Iterable[Unit], proposed: Mapping[str, Sequence[SubnetSpec]]
) -> dict[str, list[SubnetSpec]]:
    """Subnets of which the tasks of a unit have the same backbone, that of its first task.

    Where each has some stages of one architecture, that is it. Each task keeps its own elastic
    parts. Where a task has more subnets than the first one, its backbones are those of all; a task
    with fewer repeats its last parts.

    Args:
        units: tasks that share a pass; others stay as they are.
        proposed: task -> its subnets of a step.
    """
    specs = {task: list(group) for task, group in proposed.items()}
    for unit in units:
        roots = [spec.root for spec in max((specs[task] for task in unit), key=len)]
        for i, root in enumerate(roots):
            others = (specs[task][min(i, len(specs[task]) - 1)].root for task in unit)
            roots[i] = united([root, *others]) or root
        for task in unit:
            own = specs[task]
            pairs = ((own[min(i, len(own) - 1)], root) for i, root in enumerate(roots))
            specs[task] = [spec.with_root(root) for spec, root in pairs]
    return specs


def check_tied(units: Iterable[Unit], joint: JointSpec) -> None:
    """Raises ValueError where tasks that share a pass have different backbones."""
    for unit in units:
        for task in unit[1:]:
            if united([joint[unit[0]].root, joint[task].root]) is None:
                raise ValueError(
                    f'tasks {unit[0]!r} and {task!r} share a pass on the same images, but '
                    'joint_spec, or base, has different architectures of the backbone for them; '
                    f'give both the same, or remove tasks.{task}.images'
                )


def _of_group(
    tasks: Sequence[str], backbone: Mapping[str, Any], models: Mapping[str, Mapping[str, Any]]
) -> tuple[tuple[Unit, ...], list[str]]:
    """The units of an image group, and why there are several."""
    family = family_of(backbone)
    if Sharing.from_config(backbone.get('sharing'), family.dimensions.roles).has_specific:
        return tuple((task,) for task in tasks), ['the backbone has weights of single tasks']
    units: list[list[str]] = []
    reasons: list[str] = []
    for task in tasks:
        differences = []
        for unit in units:
            differs = _difference(unit[0], task, backbone, family.task_settings, models)
            if differs is None:
                unit.append(task)
                break
            differences.append(f'{task!r} and {unit[0]!r} differ in {differs}')
        else:
            units.append([task])
            reasons += differences[:1]
    return tuple(map(tuple, units)), reasons


def _difference(
    first: str,
    second: str,
    backbone: Mapping[str, Any],
    settings: Mapping[str, TaskSetting],
    models: Mapping[str, Mapping[str, Any]],
) -> str | None:
    """The first thing that keeps two tasks from sharing a pass."""
    for key, setting in settings.items():
        if setting.selects:
            continue
        values = [as_lists(of_task(backbone.get(key), task, key)) for task in (first, second)]
        if values[0] != values[1]:
            return f'backbone.{key}'
        if setting.owns and values[0] not in (None, setting.default):
            return f'the weights of backbone.{key}'
    return difference_of_images(models[first], models[second])


def difference_of_images(first: Mapping[str, Any], second: Mapping[str, Any]) -> str | None:
    """The first thing that the data preprocessors of two tasks do to images otherwise.

    Args:
        first, second: ``dict(scope=..., model=...)``.
    """
    ours, theirs = _of_images(first), _of_images(second)
    for key in (*ours, *theirs):
        if ours.get(key) != theirs.get(key) or key == 'batch_augments':
            return f'data_preprocessor.{key}'
    return None


def _of_images(task: Mapping[str, Any]) -> dict[str, Any]:
    """What a task's data preprocessor does to images; augmentations of batches are random."""
    config = dict(task['model'].get('data_preprocessor') or {})
    name = config.pop('type', None)
    kind = registered(name, ROOT_MODELS, task['scope']) or name
    parameters = inspect.signature(kind).parameters if callable(kind) else {}
    usual = {key: p.default for key, p in parameters.items() if p.default is not p.empty}
    said = {key: value for key, value in {**usual, **config}.items() if key not in _OF_LABELS}
    if not said.get('batch_augments'):
        said.pop('batch_augments', None)
    return {'type': kind, **{key: as_lists(value) for key, value in said.items()}}


def as_lists(value: Any) -> Any:
    """A sequence as a list: configs have either."""
    return list(value) if isinstance(value, (list, tuple)) else value


def _note(name: str, units: Sequence[Unit], reasons: Sequence[str]) -> str:
    together = [', '.join(map(repr, unit)) for unit in units if len(unit) > 1]
    alone = [repr(unit[0]) for unit in units if len(unit) == 1]
    said = [f'{tasks} share a pass' for tasks in together]
    if alone:
        said.append(f'{", ".join(alone)} {"has a pass" if len(alone) == 1 else "have a pass each"}')
    why = f' ({"; ".join(reasons)})' if reasons else ''
    return f'images {name!r}: {"; ".join(said)}{why}'
