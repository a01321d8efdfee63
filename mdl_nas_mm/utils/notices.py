"""Upstream's libraries are imported without what they say of optional parts that they lack."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from types import ModuleType

# OneDL's forks print the one and warn of the other when these are imported, whatever is done then.
_NOTICE = 'Could not import OneDL'
_WARNING = 'faster_coco_eval is not installed'
_MODULES = {
    'mmpretrain.datasets',
    'mmdet.datasets',
    'mmdet.datasets.transforms',
    'mmdet.evaluation.metrics.faster_coco_metric',
    'mmseg.datasets',
    'mmseg.datasets.transforms',
}


class _QuietLoader(SourceFileLoader):
    """Executes a module without its notice; what else it prints comes after it."""

    def exec_module(self, module: ModuleType) -> None:
        """As of any module of a file."""
        out = io.StringIO()
        try:
            with redirect_stdout(out), warnings.catch_warnings():
                warnings.filterwarnings('ignore', _WARNING)
                super().exec_module(module)
        finally:
            lines = [line for line in out.getvalue().splitlines() if not line.startswith(_NOTICE)]
            if lines:
                print(*lines, sep='\n', flush=True)


class WithoutNotices(MetaPathFinder):
    """Finds the modules that say it where they lie, and nothing else.

    As who imports them is anybody, a registry, a head or a script, what they say is taken where
    they are imported.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module as it is found without this, but executed without what it says."""
        found = PathFinder.find_spec(name, path, target) if name in _MODULES else None
        if found is None or found.origin is None:
            return None
        return spec_from_file_location(
            name,
            found.origin,
            loader=_QuietLoader(name, found.origin),
            submodule_search_locations=found.submodule_search_locations,
        )
