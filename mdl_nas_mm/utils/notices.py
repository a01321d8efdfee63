"""Upstream's libraries are imported without what they print of optional parts that they lack."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

# OneDL's forks print it each time that these are imported, whatever is done with them.
_NOTICE = 'Could not import OneDL'
_MODULES = {
    'mmpretrain.datasets',
    'mmdet.datasets',
    'mmdet.datasets.transforms',
    'mmseg.datasets',
    'mmseg.datasets.transforms',
}


class WithoutNotices(MetaPathFinder):
    """Finds the modules that print it where they lie, and nothing else.

    As who imports them is anybody, a registry, a head or a script, what they print is taken where
    they are imported.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module as it is found without this, but executed without the notice."""
        spec = PathFinder.find_spec(name, path, target) if name in _MODULES else None
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            loader.exec_module = partial(_execute, loader.exec_module)
        return spec


def _execute(execute: Callable[[ModuleType], None], module: ModuleType) -> None:
    out = io.StringIO()
    try:
        with redirect_stdout(out):
            execute(module)
    finally:
        lines = [line for line in out.getvalue().splitlines() if not line.startswith(_NOTICE)]
        if lines:
            print(*lines, sep='\n', flush=True)
