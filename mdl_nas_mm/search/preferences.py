"""How much each task matters to whoever searches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mdl_nas_mm.utils.amounts import is_number
from mdl_nas_mm.utils.task_names import check_tasks


def check_preferences(prefer: Mapping[str, float], tasks: Sequence[str], where: str) -> None:
    """Raises ValueError for preferences that mean nothing.

    Args:
        prefer: task -> a number of at least 0; a task that is not named has 0.
        tasks: all tasks.
        where: what errors begin with.
    """
    if not isinstance(prefer, Mapping):
        raise ValueError(f'{where}: {prefer!r}, expected task -> number, as dict({tasks[0]}=1)')
    check_tasks(where, prefer, tasks)
    for task, value in prefer.items():
        if not is_number(value) or not math.isfinite(value) or value < 0:
            raise ValueError(
                f'{where}: task {task!r} has {value!r}, expected a number of at least 0'
            )
    if not any(prefer.values()):
        raise ValueError(
            f'{where}: all are 0; give one of {list(tasks)} a number, or each the same'
        )
