"""Whether the tensors of a file are those that its manifest speaks of."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import torch

from mdl_nas_mm.trust import check_scope

from .head_rows import joined_shape
from .heads import is_head, is_rows, owners_in, tensors_by
from .structure import Structure
from .tensor_file import Entry


def check_contents(
    structure: Structure, manifest: Mapping, entries: Mapping[str, Entry], dtype: torch.dtype
) -> None:
    """Compares names and sizes.

    Args:
        dtype: of the backbone's weights.

    Raises:
        ValueError: a tensor is missing, belongs to nothing, or is of another size than the
            architectures make it; or a task is of no library.
    """
    segments, tasks, hashes = structure.segments, manifest['tasks'], manifest['hashes']
    sizes = {f'shared/{segment}': size for segment, size in segments.sizes.items()}
    needed, specific = set(), {}
    for task, info in tasks.items():
        label = info['region']
        check_scope(info['scope'], f'task {task!r}')
        specific[task] = sizes[f'specific/{task}'] = structure.specific_size(label)
        needed |= {f'shared/{name}' for name in segments.used_by(structure.regions[label])}
        if specific[task]:
            needed.add(f'specific/{task}')
    if structure.scores:
        sizes['scores'] = sum(structure.scores.values())
        needed.add('scores')
    masks = {f'mask/{label}' for label in structure.regions} if structure.scores else set()
    for name in sorted(needed | masks | set(hashes)):
        if name not in entries or name not in hashes:
            raise ValueError(f'{name!r} is missing')
    for name, entry in entries.items():
        if name in sizes:
            if entry.shape != (sizes[name],):
                raise ValueError(
                    f'{name!r} has {math.prod(entry.shape)} elements, not {sizes[name]}'
                )
            if name != 'scores' and entry.dtype != dtype:
                raise ValueError(f'{name!r} is {entry.dtype}, others are {dtype}')
        elif is_rows(name) and entry.dtype != torch.uint8:
            raise ValueError(f'{name!r} is {entry.dtype}, no bits')
        elif name not in masks and not _is_of_tasks(name, tasks):
            raise ValueError(f'{name!r} belongs to nothing')
    for name in filter(is_rows, entries):
        for task in owners_in(name).named:
            names = tensors_by(name, task)
            for each in names:
                if each not in entries:
                    raise ValueError(f'{each!r} is missing')
            joined_shape([entries[each].shape for each in names])
    shared = sum(e.shape[0] for name, e in entries.items() if name.startswith('shared/'))
    counts = manifest['counts']
    if (counts['shared'], counts['specific']) != (shared, specific):
        raise ValueError(
            f'counts are {counts["shared"]}, {counts["specific"]}, the tensors have {shared}, '
            f'{specific}'
        )


def _is_of_tasks(name: str, tasks: Collection[str]) -> bool:
    """Whether a tensor is of the upstream models of tasks that there are."""
    return (is_head(name) or is_rows(name)) and owners_in(name).named <= set(tasks)
