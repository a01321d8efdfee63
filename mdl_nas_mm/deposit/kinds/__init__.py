"""Kinds of storage, one a file: how what tasks have becomes tensors, and weights again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from mdl_nas_mm.registry import STORED_KINDS

from .base import Contents, NewTasks, Piece, Removal, StoredKind, TaskSpecificKind, check_form
from .control import Control, ControlKind, control_name, control_names
from .head_rows import HeadRows
from .masks import Masks, read_masks
from .own_rows import OwnRows
from .scores import Scores
from .segments import SegmentsKind, segments_among
from .sparse_difference import SparseDifference
from .state_dicts import StateDicts

__all__ = [
    'Contents',
    'Control',
    'NewTasks',
    'TaskSpecificKind',
    'Piece',
    'Removal',
    'SparseDifference',
    'StoredKind',
    'check_form',
    'control_name',
    'control_names',
    'find_kind',
    'kinds_of',
    'read_masks',
    'segments_among',
]

# The manifest lists tensors in this order.
_KINDS = (Masks, SegmentsKind, OwnRows, SparseDifference, StateDicts, HeadRows, Scores, ControlKind)
for _kind in _KINDS:
    STORED_KINDS.register_module(module=_kind)


def kinds_of(tasks: Mapping[str, Mapping]) -> dict[str, StoredKind]:
    """Beginning of tensors' names -> kind, of all that a file with these tasks has.

    Args:
        tasks: task -> its part of the manifest.

    Raises:
        ValueError: a task names no kind that is registered, or settings that it has not; or one
            whose weights it is made of is not in the file before it, or is made of another's.
    """
    own, found = [], []
    for task, info in tasks.items():
        kind = _specific_kind(task, info.get('stored', dict(type=OwnRows.__name__)))
        # No longer chains, so that reading a task reads few others, whatever a file says.
        whole = [each.task for each in own if not each.bases]
        for base in kind.bases:
            if base not in whole:
                raise ValueError(f'task {task!r}, stored: {base!r} is no whole task before it')
        own.append(kind)
    for each in STORED_KINDS.module_dict.values():
        is_own = issubclass(each, TaskSpecificKind)
        found += [kind for kind in own if type(kind) is each] if is_own else [each()]
    return {kind.key: kind for kind in found}


def find_kind(kinds: Mapping[str, StoredKind], name: str) -> StoredKind:
    """The kind of a tensor, by its name; or ValueError."""
    first, *more = name.split('/')
    found = kinds.get('/'.join((first, *more[:1]))) or kinds.get(first)
    if found is None:
        raise ValueError(f'{name!r} belongs to nothing')
    return found


def _specific_kind(task: str, config: Mapping) -> TaskSpecificKind:
    where, settings = f'task {task!r}, stored', dict(config)
    name = settings.pop('type', None)
    # mmengine would look for the name among all that can be imported.
    kind = STORED_KINDS.module_dict.get(name) if isinstance(name, str) else None
    if kind is None or not issubclass(kind, TaskSpecificKind):
        raise ValueError(f'{where}: {ascii(name)[:80]} is no registered kind of own weights')
    known = {field.name for field in fields(kind)} - {'task'}
    for key in settings:
        if key not in known:
            raise ValueError(f'{where}: unknown setting {ascii(key)[:80]} of {name}')
    return kind(task, **settings)
