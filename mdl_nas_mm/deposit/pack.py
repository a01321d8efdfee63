"""Makes a deposit, adds tasks and removes one; ``format.md`` describes the file."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mdl_nas_mm.spec import Counts, JointSpec, Owners, check_joint
from mdl_nas_mm.tasks import MultiTaskModel
from mdl_nas_mm.tasks.elastic_parts import plain_model
from mdl_nas_mm.version import __version__

from .configs import needed
from .contents import (
    Weights,
    check_stored,
    check_uses,
    score_tensor,
    segment_tensors,
    specific_tensor,
)
from .head_rows import cut_in_two, whole_without
from .heads import head_name, is_head, renamed, without
from .old_parts import own_together
from .segments import mask_bits
from .structure import Structure
from .tensor_file import content_hash
from .unpack import Deposit
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

    Returns:
        The ledger's counts of what was stored.

    Raises:
        ValueError: the joint spec lacks a task or is outside the space, something cannot be
            stored, or would be let in by no one who opens the file, or another process is writing
            it.
    """
    check_joint(joint, model.spaces)
    for layer in model.backbone.ledger().owner_sets:
        raise ValueError(f'{layer!r}: a deposit does not store weights that some tasks own')
    # Where weights and architectures came from is nothing that a file says.
    backbone = {key: value for key, value in backbone.items() if key not in ('init_cfg', 'arch')}
    if backbone.get('space') is None:
        backbone = dict(backbone, space=model.backbone.space.to_config())
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
        scores = score_tensor(model, Structure.of(manifest, _bits(tensors)))
        if scores is not None:
            tensors['scores'] = scores
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
                own_together(each, manifest, tensors, new)
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
        ValueError: see ``Deposit``; or it has no such task, or no other one.
    """
    with locked(path):
        deposit = Deposit(path, trust)
        deposit.check_task(task)
        if len(deposit.tasks) == 1:
            raise ValueError(f'deposit {path}: {task!r} is its only task; remove the file')
        manifest, structure = deposit.copy_manifest(), deposit.structure
        del manifest['tasks'][task]
        left = [structure.regions[info['region']] for info in manifest['tasks'].values()]
        kept = structure.segments.needed_by(left, deposit.stored_segments())
        _forget(manifest['history'], manifest['tasks'], kept)
        labels = {label for batch in manifest['history'] for label in batch['regions']}
        tensors = {
            name: tensor
            for name, tensor in deposit.read_all().items()
            if not _is_gone(name, task, kept, labels)
        }
        hashes = {name: manifest['hashes'][name] for name in tensors}
        for names, name, whole in list(whole_without(task, tensors)):
            for each in names:
                del tensors[each], hashes[each]
            tensors[name], hashes[name] = whole, content_hash(whole)
        manifest['hashes'], tensors = renamed(task, hashes), renamed(task, tensors)
        counts = manifest['counts']
        for key in ('specific', 'backbones'):
            del counts[key][task]
        counts['heads'] = _without_owner(counts['heads'], task)
        counts['shared'] = _shared_size(tensors)
        write(path, manifest, tensors)
    return Counts(**counts)


def _forget(history: list[dict], tasks: Mapping[str, Mapping], kept: set[str]) -> None:
    """Drops batches of which nothing is left; but not one that a later one was put on top of."""
    used = {info['region'] for info in tasks.values()}
    while history and not used.intersection(history[-1]['regions']):
        labels = set(history[-1]['regions'])
        if any(labels.intersection(Owners.read(segment).named) for segment in kept):
            return
        history.pop()


def _is_gone(name: str, task: str, kept: set[str], labels: set[str]) -> bool:
    kind, _, rest = name.partition('/')
    if kind == 'shared':
        return rest not in kept
    if kind == 'mask':
        return rest not in labels
    return kind == 'specific' and rest == task


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
    backbone, whole, chosen = model.backbone, model.supernet.ledger(model.head_sizes()), joint
    # Of elastic parts just one architecture is stored, as a head that has no other.
    heads = {
        task: subnets.get(task) or model.subnet(task, spec) if spec.parts else model.tasks[task]
        for task, spec in joint.items()
    }
    tasks = {
        task: dict(info, model=plain_model(info['model'], task, model.supernet.parts, chosen[task]))
        for task, info in tasks.items()
    }
    joint = JointSpec({task: spec.root for task, spec in joint.items()})
    ledger = backbone.ledger()
    taken = {label for batch in manifest['history'] for label in batch['regions']}
    labels = {task: _free_label(task, taken) for task in joint}
    new, batch = {}, dict(regions={}, beneath=[])
    batch['beneath'] = deposit.stored_segments() if deposit is not None else []
    for task, spec in joint.items():
        settings = backbone.settings_of(task, spec)
        batch['regions'][labels[task]] = dict(spec=spec.to_dict(), settings=settings)
        bits = mask_bits(ledger, spec)
        if bits is not None:
            new[f'mask/{labels[task]}'] = torch.from_numpy(np.packbits(bits))
        needs = _needs(task, tasks[task], trust)
        manifest['tasks'][task] = dict(
            tasks[task],
            spec=spec.to_dict(),
            region=labels[task],
            params=ledger.params(spec),
            **needs,
        )
    manifest['history'].append(batch)
    structure = Structure.of(manifest, _bits({**tensors, **new}))
    for task, spec in joint.items():
        check_uses(structure.regions[labels[task]], model, spec, task)
    weights = Weights(model)
    if deposit is not None:
        for task in joint:
            check_stored(structure.regions[labels[task]], structure, tensors, weights, task)
    new |= segment_tensors(structure, set(labels.values()), weights)
    for task in joint:
        new[f'specific/{task}'] = specific_tensor(structure.regions[labels[task]], weights, task)
    for label, part in (*heads.items(), *model.parts.items()):
        for key, value in part.state_dict().items():
            new[head_name(label, key)] = value.detach().cpu().clone().contiguous()
    for each in model.held_parts:
        for path, rows in each.rows.items():
            cut_in_two(new, each.part.owners, each.path_of(path), rows)
    counts, own = manifest['counts'], whole.count(chosen)
    for key in ('specific', 'heads', 'backbones'):
        counts[key].update(getattr(own, key))
    counts['shared'] = _shared_size({**tensors, **new})
    return {name: tensor for name, tensor in new.items() if tensor.numel() or is_head(name)}


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


def _shared_size(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for name, tensor in tensors.items() if name.startswith('shared/'))


def _bits(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Label -> the unpacked mask, of all masks among tensors."""
    return {
        name.removeprefix('mask/'): np.unpackbits(tensor.numpy()).astype(bool)
        for name, tensor in tensors.items()
        if name.startswith('mask/')
    }


def _free_label(task: str, taken: set[str]) -> str:
    """The task's name; with a number where segments are left of a removed task of this name."""
    label, number = task, 1
    while label in taken:
        number += 1
        label = f'{task}.{number}'
    return label
