"""Names of tasks that somebody gives."""

from __future__ import annotations

from collections.abc import Collection, Iterable


def check_tasks(where: str, named: Iterable[str], known: Collection[str]) -> None:
    """Raises ValueError for a task that there is not; names those that there are.

    Args:
        where: what errors begin with.
        named: the names.
        known: all tasks.
    """
    for task in named:
        if task not in known:
            raise ValueError(f'{where}: unknown task {task!r}, expected some of {sorted(known)}')
