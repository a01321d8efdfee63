"""Which tasks live on which rank."""

from __future__ import annotations

from collections.abc import Sequence


def tasks_of_rank(tasks: Sequence[str], rank: int, world_size: int) -> tuple[str, ...]:
    """The tasks that a rank trains, in turn within each step.

    Raises:
        NotImplementedError: more than one process; a single one runs all tasks.
    """
    if world_size != 1:
        raise NotImplementedError(
            f'joint training runs in one process, not in {world_size}; use --launcher none'
        )
    return tuple(tasks)
