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

PassGroup = tuple[str, ...]


@dataclass(frozen=True)
class PassGroups:
    """The tasks of a joint config by what they share.

    Attributes:
        of: what has a loader of its own, a task or an image group -> its pass groups, each of
            tasks that share a pass: one architecture of the backbone, one forward and backward
            pass.
        notes: a line for each group of images: which of its tasks share a pass, and why others
            do not.
    """

    of: Mapping[str, tuple[PassGroup, ...]]
    notes: tuple[str, ...] = ()

    @property
    def shared(self) -> list[PassGroup]:
        """The pass groups of several tasks."""
        return [group for groups in self.of.values() for group in groups if len(group) > 1]


def find_pass_groups(
    image_groups: Mapping[str, Sequence[str]],
    backbone: Mapping[str, Any],
    models: Mapping[str, Mapping[str, Any]],
) -> PassGroups:
    """The pass groups of all tasks.

    Tasks of an image group share a pass if the backbone has no weights of single tasks, their
    settings of it are the same, and their data preprocessors do the same to images.

    Args:
        image_groups: name of an image group -> its tasks.
        backbone: config of the backbone of all tasks.
        models: task -> ``dict(scope=..., model=...)``, all tasks in the order of their names.
    """
    images_of = {task: name for name, tasks in image_groups.items() for task in tasks}
    found: dict[str, tuple[PassGroup, ...]] = {}
    notes = []
    for task in models:
        name = images_of.get(task)
        if name is None:
            found[task] = ((task,),)
        elif name not in found:
            found[name], reasons = _of_image_group(image_groups[name], backbone, models)
            notes.append(_note(name, found[name], reasons))
    return PassGroups(found, tuple(notes))


def pass_groups_of(cfg: ResolvedConfig) -> PassGroups:
    """The pass groups of a resolved config."""
    return find_pass_groups(cfg.image_groups, cfg.model.backbone, cfg.model.tasks)


def tied(
    pass_groups: Iterable[PassGroup], proposed: Mapping[str, Sequence[SubnetSpec]]
) -> dict[str, list[SubnetSpec]]:
    """Subnets of which the tasks of a pass group have the same backbone, that of its first task.

    Where each has some stages of one architecture, that is it. Each task keeps its own elastic
    parts. Where a task has more subnets than the first one, its backbones are those of all; a task
    with fewer repeats its last parts.

    Args:
        pass_groups: tasks that share a pass; others stay as they are.
        proposed: task -> its subnets of a step.
    """
    specs = {task: list(own) for task, own in proposed.items()}
    for group in pass_groups:
        roots = [spec.root for spec in max((specs[task] for task in group), key=len)]
        for i, root in enumerate(roots):
            others = (specs[task][min(i, len(specs[task]) - 1)].root for task in group)
            roots[i] = united([root, *others]) or root
        for task in group:
            own = specs[task]
            pairs = ((own[min(i, len(own) - 1)], root) for i, root in enumerate(roots))
            specs[task] = [spec.with_root(root) for spec, root in pairs]
    return specs


def check_tied(pass_groups: Iterable[PassGroup], joint: JointSpec) -> None:
    """Raises ValueError where tasks that share a pass have different backbones."""
    for group in pass_groups:
        for task in group[1:]:
            if united([joint[group[0]].root, joint[task].root]) is None:
                raise ValueError(
                    f'tasks {group[0]!r} and {task!r} share a pass on the same images, but '
                    'joint_spec, or base, has different architectures of the backbone for them; '
                    f'give both the same, or remove tasks.{task}.images'
                )


def _of_image_group(
    tasks: Sequence[str], backbone: Mapping[str, Any], models: Mapping[str, Mapping[str, Any]]
) -> tuple[tuple[PassGroup, ...], list[str]]:
    """The pass groups of an image group, and why there are several."""
    family = family_of(backbone)
    if Sharing.from_config(backbone.get('sharing'), family.dimensions.roles).has_specific:
        return tuple((task,) for task in tasks), ['the backbone has weights of single tasks']
    pass_groups: list[list[str]] = []
    reasons: list[str] = []
    for task in tasks:
        differences = []
        for group in pass_groups:
            differs = _difference(group[0], task, backbone, family.task_settings, models)
            if differs is None:
                group.append(task)
                break
            differences.append(f'{task!r} and {group[0]!r} differ in {differs}')
        else:
            pass_groups.append([task])
            reasons += differences[:1]
    return tuple(map(tuple, pass_groups)), reasons


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
        if setting.gives_weights(values[0]):
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


def _note(name: str, pass_groups: Sequence[PassGroup], reasons: Sequence[str]) -> str:
    together = [', '.join(map(repr, group)) for group in pass_groups if len(group) > 1]
    alone = [repr(group[0]) for group in pass_groups if len(group) == 1]
    said = [f'{tasks} share a pass' for tasks in together]
    if alone:
        said.append(f'{", ".join(alone)} {"has a pass" if len(alone) == 1 else "have a pass each"}')
    why = f' ({"; ".join(reasons)})' if reasons else ''
    return f'images {name!r}: {"; ".join(said)}{why}'
