"""Makes a deposit, adds tasks and removes one; ``format.md`` describes the file."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log
from torch import Tensor, nn

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.plain import statistics_of
from mdl_nas_mm.header.names import without
from mdl_nas_mm.spec import Counts, JointSpec, Owners, check_joint
from mdl_nas_mm.tasks import MultiTaskModel
from mdl_nas_mm.tasks.elastic_parts import plain_model
from mdl_nas_mm.version import __version__

from .check import stored_counts
from .configs import needed, stored_backbone
from .head_rows import whole_without
from .kinds import (
    Contents,
    Control,
    NewTasks,
    Removal,
    TaskSpecificKind,
    find_kind,
    kinds_of,
    read_masks,
)
from .old_parts import add_owners
from .regions import mask_bits
from .structure import Structure
from .tensor_file import content_hash
from .unpack import Deposit
from .weights import Weights, check_uses
from .write import locked, write


def pack(
    path: str | Path,
    model: MultiTaskModel,
    joint: JointSpec,
    backbone: Mapping,
    tasks: Mapping[str, Mapping],
    provenance: Mapping | None = None,
    trust: Collection[str] = (),
    subnets: Mapping[str, nn.Module] | None = None,
    control: Control | None = None,
) -> Counts:
    """Stores the chosen subnet of every task in one file.

    Args:
        path: the file; appears under this name when complete.
        model: the trained supernet.
        joint: the architecture of each task.
        backbone: the config that the backbone was built from.
        tasks: task -> what to keep of it: its ``scope`` and upstream ``model`` config, and
            whatever else shall be known of it (score, data loaders, class names).
        provenance: whatever shall be known of how this came about.
        trust: classes of models and pipelines that are no known ones, see ``Deposit``. Classes of
            data sets and metrics, which only an evaluation needs, are named in the log.
        subnets: task -> what ``MultiTaskModel.subnet`` gave, where batch norms of elastic parts
            were estimated in it.
        control: what other architectures are chosen with, where ``joint`` has the largest ones.

    Returns:
        The ledger's counts of what was stored.

    Raises:
        ValueError: the joint spec lacks a task or is outside the space, something cannot be
            stored, or would be let in by no one who opens the file, or another process is writing
            it.
    """
    check_joint(joint, model.spaces)
    if backbone.get('space') is None:
        backbone = dict(backbone, space=model.backbone.space.to_config())
    backbone = stored_backbone(backbone, trust)
    manifest = dict(
        backbone=backbone,
        tasks={},
        history=[],
        counts=asdict(Counts(0, {}, {}, {})),
        hashes={},
        provenance=dict(provenance or {}, mdl_nas_mm=__version__),
    )
    with locked(path, is_new=True):
        tensors = _with_tasks(manifest, {}, None, model, joint, tasks, trust, subnets or {})
        if control is not None:
            manifest['control'] = dict(control.about)
            tensors |= control.named()
        _hash(manifest, tensors)
        write(path, manifest, tensors)
    return Counts(**manifest['counts'])


def add(
    path: str | Path,
    model: MultiTaskModel,
    joint: JointSpec,
    tasks: Mapping[str, Mapping],
    provenance: Mapping | None = None,
    trust: Collection[str] = (),
    subnets: Mapping[str, nn.Module] | None = None,
) -> Counts:
    """Adds new tasks to a deposit; what is in it stays as it is, bit for bit.

    Of the shared weights that the new tasks use, those that the file has must be equal to it.
    What it does not have is stored beside. What they took of an old task's neck or head is then
    owned by these tasks as well.

    Args:
        path: the file.
        model: of just the new tasks.
        joint, tasks: see ``pack``, of just the new tasks.
        provenance: whatever shall be known of how these came about.
        trust, subnets: see ``pack``.

    Returns:
        The counts of all that is stored now.

    Raises:
        FileNotFoundError: there is no such deposit.
        ValueError: see ``Deposit`` and ``pack``; or the deposit has such a task, its backbone is
            another one, or a shared weight differs (names it).
    """
    with locked(path):
        deposit = Deposit(path, trust)
        _check_changeable(deposit)
        for task in model.tasks:
            if task in deposit.tasks:
                raise ValueError(f'deposit {path} has a task {task!r} already')
        deposit.check_same_backbone(model.backbone, Weights(model).dtype)
        check_joint(joint, model.spaces)
        manifest, tensors = deposit.copy_manifest(), deposit.read_all()
        infos = {
            task: dict(info, provenance=dict(provenance or {})) for task, info in tasks.items()
        }
        new = _with_tasks(manifest, tensors, deposit, model, joint, infos, trust, subnets or {})
        for each in model.held_parts:
            if each.part.of is not None:
                add_owners(each, manifest, tensors, new)
        _hash(manifest, new)
        write(path, manifest, tensors | new)
    return Counts(**manifest['counts'])


def remove(path: str | Path, task: str, trust: Collection[str] = ()) -> Counts:
    """Removes a task from a deposit; what others use stays as it is, bit for bit.

    Channels that just one other task shared with it are put into that one's own weights.

    Args:
        path: the deposit.
        task: its name in the deposit.
        trust: see ``Deposit``.

    Returns:
        The counts of what is stored now.

    Raises:
        FileNotFoundError: there is no such deposit.
        ValueError: see ``Deposit``; or it has no such task, or no other one, or another one's
            weights are made of its.
    """
    with locked(path):
        deposit = Deposit(path, trust)
        deposit.check_task(task)
        _check_changeable(deposit)
        if len(deposit.tasks) == 1:
            raise ValueError(f'deposit {path}: {task!r} is its only task; remove the file')
        for other, kind in deposit.specific_kinds.items():
            if task in kind.bases:
                raise ValueError(
                    f'deposit {path}: {other!r} is stored by what it has beside {task!r}; remove '
                    f'{other!r} first'
                )
        manifest, structure = deposit.copy_manifest(), deposit.structure
        del manifest['tasks'][task]
        left = [structure.regions[info['region']] for info in manifest['tasks'].values()]
        kept = structure.segments.needed_by(left, deposit.stored_segments())
        _forget(manifest['history'], manifest['tasks'], kept)
        labels = {label for batch in manifest['history'] for label in batch['regions']}
        removal = Removal(task, kept, labels)
        stay = {
            name: tensor
            for name, tensor in deposit.read_all().items()
            if find_kind(deposit.kinds, name).name_after(name, removal) is not None
        }
        hashes, counts = {name: manifest['hashes'][name] for name in stay}, manifest['counts']
        for names, name, whole in list(whole_without(task, stay)):
            for each in names:
                del stay[each], hashes[each]
            stay[name], hashes[name] = whole, content_hash(whole)
        names = {name: find_kind(deposit.kinds, name).name_after(name, removal) for name in stay}
        tensors = {str(names[name]): tensor for name, tensor in stay.items()}
        manifest['hashes'] = {str(names[name]): value for name, value in hashes.items()}
        del counts['backbones'][task]
        counts['heads'] = _without_owner(counts['heads'], task)
        _count(manifest, Contents(structure, manifest['tasks'], tensors, deposit.dtype))
        write(path, manifest, tensors)
    return Counts(**counts)


def _check_changeable(deposit: Deposit) -> None:
    """Raises ValueError for tasks whose architectures are chosen together."""
    if deposit.is_controlled:
        raise ValueError(
            f'deposit {deposit.path}: its tasks are controlled together, none is added or removed; '
            'pack those that there shall be anew'
        )


def _forget(history: list[dict], tasks: Mapping[str, Mapping], kept: set[str]) -> None:
    """Drops batches of which nothing is left; but not one that a later one was put on top of."""
    used = {info['region'] for info in tasks.values()}
    while history and not used.intersection(history[-1]['regions']):
        labels = set(history[-1]['regions'])
        if any(labels.intersection(Owners.read(segment).named) for segment in kept):
            return
        history.pop()


def _without_owner(heads: Mapping[str, int], task: str) -> dict[str, int]:
    """Owners -> elements, where one of them is gone; what it shared is then of the others."""
    counts: dict[str, int] = {}
    for label, size in heads.items():
        left = without(task, label)
        if left is not None:
            counts[left] = counts.get(left, 0) + size
    return counts


def _with_tasks(
    manifest: dict,
    tensors: Mapping[str, Tensor],
    deposit: Deposit | None,
    model: MultiTaskModel,
    joint: JointSpec,
    tasks: Mapping[str, Mapping],
    trust: Collection[str],
    subnets: Mapping[str, nn.Module],
) -> dict[str, Tensor]:
    """Puts new tasks into a manifest, and gives their tensors."""
    whole, chosen = model.supernet.ledger(model.head_sizes()), joint
    # Of elastic parts just one architecture is stored, as a head that has no other.
    has_norms = bool(statistics_of(model.backbone))
    plain: dict[str, Any] = {
        task: subnets.get(task) or model.subnet(task, spec)
        for task, spec in joint.items()
        if spec.parts or has_norms
    }
    heads = {task: plain[task] if spec.parts else model.tasks[task] for task, spec in joint.items()}
    statistics = {t: statistics_of(each.backbone) for t, each in plain.items() if has_norms}
    tasks = {
        task: dict(info, model=plain_model(info['model'], task, model.supernet.parts, chosen[task]))
        for task, info in tasks.items()
    }
    of_task = model.backbone.needed
    joint = JointSpec({task: of_task((task,), spec.root) for task, spec in joint.items()})
    base = deposit.stored_segments() if deposit is not None else []
    labels, new_bits = _enter(manifest, model.backbone, joint, tasks, base, trust)
    masks = read_masks(tensors, tensors.__getitem__) | new_bits
    structure, weights = Structure.of(manifest, masks), Weights(model)
    for task, spec in joint.items():
        check_uses(structure.regions[labels[task]], model, spec, task)
    adding = NewTasks(
        model,
        joint,
        labels,
        new_bits,
        [*heads.items(), *model.parts.items()],
        statistics,
        structure,
        weights,
        deposit,
    )
    found: dict[str, Tensor] = {}
    for kind in kinds_of(manifest['tasks']).values():
        if not isinstance(kind, TaskSpecificKind) or kind.task in joint:
            kind.check_same(adding, tensors)
            found |= kind.tensors(adding)
    counts, own = manifest['counts'], whole.count(chosen)
    for key in ('heads', 'backbones'):
        counts[key].update(getattr(own, key))
    entries = {**tensors, **found}
    _count(manifest, Contents(structure, manifest['tasks'], entries, weights.dtype))
    return found


def _enter(
    manifest: dict,
    backbone: ElasticBackbone,
    joint: JointSpec,
    tasks: Mapping[str, Mapping],
    base_segments: list[str],
    trust: Collection[str],
) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Enters a batch of new tasks into a manifest.

    Args:
        manifest: is changed.
        backbone: of the supernet.
        joint: the architectures of backbones.
        tasks: see ``pack``.
        base_segments: those that the file has.
        trust: see ``pack``.

    Returns:
        Task -> the label of its region; label -> the bits of its mask, where it has one.
    """
    ledger, bits_of = backbone.ledger(), {}
    taken = {label for batch in manifest['history'] for label in batch['regions']}
    labels = {task: _free_label(task, taken) for task in joint}
    batch = dict(regions={}, base_segments=base_segments)
    for task, spec in joint.items():
        settings = backbone.settings_of(task, spec)
        batch['regions'][labels[task]] = dict(spec=spec.to_dict(), settings=settings)
        bits = mask_bits(ledger, spec)
        if bits is not None:
            bits_of[labels[task]] = bits
        manifest['tasks'][task] = dict(
            tasks[task],
            spec=spec.to_dict(),
            region=labels[task],
            params=ledger.params(spec, task),
            **_needs(task, tasks[task], trust),
        )
    manifest['history'].append(batch)
    return labels, bits_of


def _needs(task: str, info: Mapping, trust: Collection[str]) -> dict[str, list[str]]:
    """The classes that a task has beside the known ones; says so."""
    names = needed(task, info, trust)
    if not names:
        return {}
    modules = dict.fromkeys(name.rpartition('.')[0] for name in names)
    print_log(
        f'task {task!r}: whoever tests it from the deposit has to trust its classes: '
        f'--trust {" ".join(names)} --import {" ".join(modules)}',
        'current',
        logging.WARNING,
    )
    return dict(needs=list(names))


def _hash(manifest: dict, tensors: Mapping[str, Tensor]) -> None:
    manifest['hashes'].update({name: content_hash(tensor) for name, tensor in tensors.items()})


def _count(manifest: dict, contents: Contents) -> None:
    """Enters the elements of the backbones."""
    counts = manifest['counts']
    counts['shared'], counts['specific'] = stored_counts(contents, kinds_of(contents.tasks))


def _free_label(task: str, taken: set[str]) -> str:
    """The task's name; with a number where segments are left of a removed task of this name."""
    label, number = task, 1
    while label in taken:
        number += 1
        label = f'{task}.{number}'
    return label
