"""Tensors of what upstream models have outside their backbones: ``head/<owners>/<key>``.

The owners are a task or, of a part that some tasks share, ``a+b``; the key is that of the models'
state dicts. Of a weight that tasks share by output channels, the shared ones are of all of them,
the others of each, and ``rows/<owners>/<key>`` says which are which.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from mdl_nas_mm.spec import Owners

# Running statistics of a backbone's batch norms are each task's own.
BACKBONE = 'backbone.'
_HEAD = 'head/'
_ROWS = 'rows/'


def head_name(label: str, key: str) -> str:
    """The name of a tensor.

    Args:
        label: of the owners, as ``Owners.label`` gives it.
        key: of an upstream model's state dict.
    """
    return f'{_HEAD}{label}/{key}'


def rows_name(label: str, key: str) -> str:
    """The name of the tensor that says which channels of an entry are shared."""
    return f'{_ROWS}{label}/{key}'


def is_head(name: str) -> bool:
    """Whether a tensor of a file is of an upstream model."""
    return name.startswith(_HEAD) and name.count('/') > 1


def is_rows(name: str) -> bool:
    """Whether a tensor of a file says which channels of another are shared."""
    return name.startswith(_ROWS) and name.count('/') > 1


def owners_in(name: str) -> Owners:
    """Whose such a tensor is."""
    return Owners.read(name.split('/')[1])


def key_in(name: str) -> str:
    """Of which entry of the models such a tensor is."""
    return name.split('/', 2)[2]


def head_keys(task: str, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Key of a task's upstream model -> the tensors that have it; see ``joined``.

    Raises:
        ValueError: two tensors have the same key, or one that says what is shared has no others.
    """
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        if (is_head(name) or is_rows(name)) and task in owners_in(name):
            found.setdefault(key_in(name), []).append(name)
    return {key: _in_order(task, each) for key, each in found.items()}


def _in_order(task: str, names: list[str]) -> tuple[str, ...]:
    """One tensor alone; or the shared channels, the task's own, and which are which."""
    rows = next(filter(is_rows, names), None)
    if rows is None:
        if len(names) > 1:
            raise ValueError(f'{names[0]!r} and {names[1]!r} are both of task {task!r}')
        return tuple(names)
    wanted = tensors_by(rows, task)
    if sorted(wanted) != names:
        raise ValueError(f'{rows!r} of task {task!r} belongs to {wanted[:2]}, not to {names}')
    return wanted


def tensors_by(rows: str, task: str) -> tuple[str, str, str]:
    """The tensors that a task's entry lies in: shared channels, its own, and which are which.

    Args:
        rows: the last one.
        task: one of its owners.
    """
    _, label, key = rows.split('/', 2)
    return head_name(label, key), head_name(task, key), rows


def without(task: str, label: str) -> str | None:
    """The label of the owners when one of them is gone; None where nobody is left."""
    left = Owners.read(label).named - {task}
    return Owners(left).label if left else None


def renamed(task: str, name: str) -> str | None:
    """The name that such a tensor has without one of the tasks; None where nobody is left."""
    kind, label, key = name.split('/', 2)
    left = without(task, label)
    return None if left is None else f'{kind}/{left}/{key}'


def is_set_of_tasks(label: str) -> bool:
    """Whether a label is that of several owners, who need not be in the file."""
    owners = Owners.read(label)
    are_names = all(map(str.isidentifier, owners.named))
    return owners.are_several and are_names and owners.label == label


def are_owners(label: str, tasks: Collection[str]) -> bool:
    """Whether a label is that of one task or some of those that there are."""
    owners = Owners.read(label)
    return owners.named <= set(tasks) and owners.label == label
