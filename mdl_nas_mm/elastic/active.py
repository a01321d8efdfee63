"""Which task and architecture are active while an upstream model runs.

Upstream models call ``self.backbone(x)`` with nothing but images. ``activate`` says around such
a call what the backbone shall be, and what elastic parts beside it; the root of each reads it once
and hands it on as plain arguments. Nothing else reads it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from mdl_nas_mm.spec import SubnetSpec


class Active(NamedTuple):
    """A task and its architecture."""

    task: str | None
    spec: SubnetSpec


_ACTIVE: ContextVar[Active | None] = ContextVar('mdl_nas_mm_active', default=None)


@contextmanager
def activate(task: str | None, spec: SubnetSpec) -> Generator[None]:
    """Runs backbones inside the ``with`` block as ``spec`` with the weights of ``task``."""
    token = _ACTIVE.set(Active(task, spec))
    try:
        yield
    finally:
        _ACTIVE.reset(token)


def active() -> Active | None:
    """What is active now; for the root of a backbone only."""
    return _ACTIVE.get()
