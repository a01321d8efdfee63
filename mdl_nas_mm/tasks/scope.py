"""Everything of a task is built and run in its own library's scope, among its own ranks."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch.distributed as dist
from mmengine.registry import DefaultScope

from mdl_nas_mm.utils.private import as_world
from mdl_nas_mm.utils.process_wide import process_wide


@contextmanager
def task_scope(scope: str, group: dist.ProcessGroup | None = None) -> Generator[None]:
    """Makes ``scope`` (``mmdet``, ...) the default one, and ``group`` the world, inside the block.

    mmengine's registries prefer the default scope to the scope of the caller, so that upstream
    code which builds things, also while it runs, finds its own ones only inside such a block.
    Upstream's samplers, losses and metrics talk to all ranks; those of one task are all that
    they may talk to, or the numbers of two tasks would be mixed.

    Both are one for the process, so one thread at a time is inside.

    Args:
        scope: the library of the task.
        group: the ranks of the task; None where there is a single process.
    """
    with process_wide(), DefaultScope.overwrite_default_scope(scope):
        if group is None:
            yield
            return
        with as_world(group):
            yield
