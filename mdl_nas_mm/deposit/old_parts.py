"""New tasks become owners of a neck or a head that the file has already."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from mdl_nas_mm.header.names import head_keys, head_name, owners_in
from mdl_nas_mm.spec import Owners
from mdl_nas_mm.tasks.held_parts import HeldPart

from .rectangles import as_integers


def add_owners(
    part: HeldPart, manifest: dict[str, Any], tensors: dict[str, Tensor], new: dict[str, Tensor]
) -> None:
    """Leaves a part of an old task in the file once, under the names of old and new owners.

    Args:
        part: of new tasks, with the weights of a task of the file.
        manifest, tensors: of the file.
        new: tensors of the new tasks.

    Raises:
        ValueError: the file has not this weight of the old task (names it).
    """
    assert part.part.of is not None
    stored, heads = head_keys(part.part.of, tensors), manifest['counts']['heads']
    for key in part.names:
        ours, names = head_name(part.label, key), stored.get(key, ())
        if len(names) != 1 or not _is_equal(new[ours], tensors[names[0]]):
            raise ValueError(
                f'parts.{part.part.name}: {key!r} is not what task {part.part.of!r} has in the '
                'deposit'
            )
        old = owners_in(names[0])
        owners = Owners(old.named | part.part.owners.named)
        name, size = head_name(owners.label, key), new.pop(ours).numel()
        tensors[name] = tensors.pop(names[0])
        manifest['hashes'][name] = manifest['hashes'].pop(names[0])
        _move(heads, (old.label, part.label), owners.label, size)
    for label in {*heads} - {*manifest['tasks']}:
        if not heads[label]:
            del heads[label]


def _move(heads: dict[str, int], sources: tuple[str, str], target: str, size: int) -> None:
    for label in sources:
        heads[label] -= size
    heads[target] = heads.get(target, 0) + size


def _is_equal(ours: Tensor, theirs: Tensor) -> bool:
    if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
        return False
    return np.array_equal(as_integers(ours), as_integers(theirs))
