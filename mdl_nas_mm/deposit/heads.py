"""Tensors of what upstream models have outside their backbones: ``head/<owners>/<key>``.

The owners are a task or, of a part that some tasks share, ``a+b``; the key is that of the models'
state dicts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from mdl_nas_mm.spec import Owners

_HEAD = 'head/'
_Value = TypeVar('_Value')


def head_name(label: str, key: str) -> str:
    """The name of a tensor.

    Args:
        label: of the owners, as ``Owners.label`` gives it.
    """
    return f'{_HEAD}{label}/{key}'


def is_head(name: str) -> bool:
    """Whether a tensor of a file is one of these."""
    return name.startswith(_HEAD) and name.count('/') > 1


def owners_in(name: str) -> Owners:
    """Whose such a tensor is."""
    return Owners.read(name.split('/')[1])


def head_keys(task: str, names: Iterable[str]) -> dict[str, str]:
    """Key of a task's upstream model -> the tensor that has it, alone or with other tasks.

    Raises:
        ValueError: two tensors have the same key.
    """
    found: dict[str, str] = {}
    for name in names:
        if is_head(name) and task in owners_in(name):
            key = name.split('/', 2)[2]
            if key in found:
                raise ValueError(f'{name!r} and {found[key]!r} are both of task {task!r}')
            found[key] = name
    return found


def without(task: str, label: str) -> str | None:
    """The label of the owners when one of them is gone; None where nobody is left."""
    left = Owners.read(label).named - {task}
    return Owners(left).label if left else None


def renamed(task: str, values: Mapping[str, _Value]) -> dict[str, _Value]:
    """Tensors, or what is said of them, by the names that they have without one of the tasks."""
    found = {}
    for name, value in values.items():
        if is_head(name):
            _, label, key = name.split('/', 2)
            left = without(task, label)
            if left is None:
                continue
            name = head_name(left, key)
        found[name] = value
    return found


def are_owners(label: str, tasks: Collection[str]) -> bool:
    """Whether a label is that of one task or some of those that there are."""
    owners = Owners.read(label)
    return owners.named <= set(tasks) and owners.label == label
