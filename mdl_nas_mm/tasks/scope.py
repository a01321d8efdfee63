"""Everything of a task is built and run in its own library's scope."""

from __future__ import annotations

from contextlib import AbstractContextManager

from mmengine.registry import DefaultScope


def task_scope(scope: str) -> AbstractContextManager:
    """Makes ``scope`` (``mmdet``, ...) the default one inside the ``with`` block.

    mmengine's registries prefer the default scope to the scope of the caller, so that upstream
    code which builds things, also while it runs, finds its own ones only inside such a block.
    """
    return DefaultScope.overwrite_default_scope(scope)
