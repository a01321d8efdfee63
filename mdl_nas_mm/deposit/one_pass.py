"""Which tasks of a deposit can have one pass, as their weights and configs in the file say.

No file says it of itself: it follows from what a task uses of which weights, and from how it
prepares images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import nn

from mdl_nas_mm.elastic.known import family_of
from mdl_nas_mm.elastic.plain import share_parameters
from mdl_nas_mm.header.manifest import malformed
from mdl_nas_mm.header.names import BACKBONE
from mdl_nas_mm.spec.spec import united
from mdl_nas_mm.tasks.image_groups import check_image_names, image_groups
from mdl_nas_mm.tasks.pass_groups import PassGroup, PassGroups, as_lists, difference_of_images
from mdl_nas_mm.tasks.pipelines import Transform, build_transforms, merged_stages
from mdl_nas_mm.utils.data_paths import prepared_dataset
from mdl_nas_mm.utils.unique_name import unique_name

from .configs import USED
from .regions import Region
from .unpack import Deposit


def same_backbones(deposit: Deposit, tasks: Sequence[str] | None = None) -> list[tuple[str, ...]]:
    """Tasks by the backbone that they have: the same architecture, weights and settings.

    What they share can be in memory once. They have one pass where they are given the same images.

    Args:
        deposit: the file.
        tasks: all without it.

    Raises:
        ValueError: the deposit has no such task, or was altered.
    """
    names = list(dict.fromkeys(deposit.tasks if tasks is None else tasks))
    for task in names:
        deposit.check_task(task)
    return _grouped(names, partial(_have_one_backbone, deposit))


def agreeing_backbones(deposit: Deposit, tasks: Sequence[str] | None = None) -> list[PassGroup]:
    """Tasks whose backbones are one, or have the same weights in all stages that both have.

    They can have one pass of the same images, which runs each stage once.

    Args:
        deposit: the file.
        tasks: all without it.

    Raises:
        ValueError: see ``same_backbones``.
    """
    names = list(dict.fromkeys(deposit.tasks if tasks is None else tasks))
    for task in names:
        deposit.check_task(task)
    return _grouped(names, partial(_agree, deposit))


def one_pass(deposit: Deposit, tasks: Sequence[str] | None = None) -> list[PassGroup]:
    """Tasks by the pass that they can share on one image: those of a backbone that also prepare
    the image in the same way.

    A task whose configs may not be used without ``trust`` has a pass of its own.

    Args:
        deposit: the file.
        tasks: all without it.

    Raises:
        ValueError: see ``same_backbones``.
    """
    pass_groups: list[PassGroup] = []
    for alike in agreeing_backbones(deposit, tasks):
        pipelines = {task: _pipeline(deposit, task) for task in alike} if len(alike) > 1 else {}
        pass_groups += _grouped(alike, partial(_see_one_image, deposit, pipelines))
    return pass_groups


def stored_pass_groups(deposit: Deposit, tasks: Sequence[str] | None = None) -> PassGroups:
    """The tasks by the images that they were trained on together, and by who shares a pass.

    Args:
        deposit: the file.
        tasks: all without it.

    Raises:
        ValueError: see ``same_backbones``.
    """
    names = list(deposit.tasks) if tasks is None else list(tasks)
    for task in names:
        deposit.check_task(task)
    of: dict[str, tuple[PassGroup, ...]] = {}
    taken = set(deposit.tasks)
    for batch in deposit.manifest['history']:
        own = {t: deposit.tasks[t] for t in names if deposit.tasks[t]['region'] in batch['regions']}
        with malformed(f'deposit {deposit.path}: manifest'):
            check_image_names(own)
        groups = image_groups(own)
        for name, members in groups.items():
            # Another training may have called other images so, or a task.
            label = unique_name(name, taken)
            of[label] = tuple(one_pass(deposit, members))
        grouped = {task for members in groups.values() for task in members}
        of |= {task: ((task,),) for task in own if task not in grouped}
    return PassGroups(of)


def load_around_one(
    deposit: Deposit, tasks: Sequence[str], device: str | torch.device = 'cpu'
) -> dict[str, BaseModel]:
    """Models of several tasks, as ``Deposit.load_task`` gives them, those of a backbone around one.

    Backbones that agree have the weights of the stages that several of them have in memory once.

    Args:
        deposit: the file.
        tasks: their names.
        device: where the models go.

    Raises:
        ValueError: see ``Deposit.load_task``.
    """
    models: dict[str, BaseModel] = {}
    for group in agreeing_backbones(deposit, tasks):
        known: dict[str, nn.Parameter] = {}
        for first, *others in same_backbones(deposit, group):
            models[first] = deposit.load_task(first, device)
            share_parameters(models[first].backbone, known)
            for task in others:
                model = deposit.build_model(task, models[first].backbone)
                models[task] = model.to(device).eval()
    return {task: models[task] for task in tasks}


def _grouped(tasks: Iterable[str], are_alike: Callable[[str, str], bool]) -> list[tuple[str, ...]]:
    """Tasks by what they have in common with all of a group."""
    groups: list[list[str]] = []
    for task in tasks:
        found = next(
            (group for group in groups if all(are_alike(own, task) for own in group)), None
        )
        if found is None:
            groups.append([task])
        else:
            found.append(task)
    return list(map(tuple, groups))


def _have_one_backbone(deposit: Deposit, first: str, second: str) -> bool:
    ours, theirs = (deposit.batch_of(task)['settings'] for task in (first, second))
    same = deposit.joint[first].root == deposit.joint[second].root
    return same and _plain(ours) == _plain(theirs) and _agree(deposit, first, second)


def _agree(deposit: Deposit, first: str, second: str) -> bool:
    if united(deposit.joint[task].root for task in (first, second)) is None:
        return False
    settings = family_of(deposit.manifest['backbone']).task_settings
    selecting = {key for key, setting in settings.items() if setting.selects}
    ours, theirs = (
        {k: v for k, v in _plain(deposit.batch_of(task)['settings']).items() if k not in selecting}
        for task in (first, second)
    )
    return (
        ours == theirs
        and _statistics(deposit, first) == _statistics(deposit, second)
        and _have_same_weights(deposit.region(first), deposit.region(second))
    )


def _statistics(deposit: Deposit, task: str) -> dict[str, str]:
    """Key -> hash of the running statistics of a task's backbone."""
    hashes, names = deposit.manifest['hashes'], deposit.head_names(task)
    return {key: hashes.get(name) for key, (name, *_) in names.items() if key.startswith(BACKBONE)}


def _have_same_weights(first: Region, second: Region) -> bool:
    """Whether two tasks use the same elements of what both use, and no weights of their own."""
    if first.own or second.own:
        return False
    return all(
        first.uses[run] == second.uses[run]
        and [part.owners for part in parts] == [part.owners for part in second.weights[run]]
        and all(map(np.array_equal, *(_chosen(region, run) for region in (first, second))))
        for run, parts in first.weights.items()
        if run in second.weights
    )


def _chosen(region: Region, run: Any) -> list[np.ndarray]:
    return [part.chosen for part in region.weights[run]]


def _pipeline(deposit: Deposit, task: str) -> list[Transform] | None:
    """What a task does to images, built; None where its configs may not be used."""
    info = deposit.tasks[task]
    try:
        with malformed(f'deposit {deposit.path}'):
            for part in USED:
                deposit.check_trusted(task, part)
            dataset = prepared_dataset(info.get('val_dataloader') or {})
            return build_transforms(info['scope'], dataset.get('pipeline') or ())
    except ValueError:
        return None


def _see_one_image(
    deposit: Deposit, pipelines: Mapping[str, list[Transform] | None], first: str, second: str
) -> bool:
    """Whether two tasks give the backbone the same of an image."""
    built = {task: found for task in (first, second) if (found := pipelines[task]) is not None}
    if len(built) < 2:
        return False
    try:
        with malformed(f'deposit {deposit.path}'):
            merged_stages('of a deposit', built)
            return difference_of_images(deposit.tasks[first], deposit.tasks[second]) is None
    except ValueError:
        return False


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: as_lists(value) for key, value in settings.items()}
