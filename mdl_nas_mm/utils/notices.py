"""Upstream's libraries without what they say that nobody can act on."""

from __future__ import annotations

import builtins
import io
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from types import ModuleType
from typing import Any

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
# What COCO's API and its copies print whenever they load and evaluate.
_PROGRESS = (
    'loading annotations into memory',
    'Loading and preparing results',
    'creating index',
    'index created',
    'Running per image evaluation',
    'Evaluate annotation type',
    'Accumulating evaluation results',
    'Done (t=',
    'DONE (t=',
)
_PRINTING = {
    'pycocotools.coco',
    'pycocotools.cocoeval',
    'xtcocotools.coco',
    'xtcocotools.cocoeval',
    'mmdet.datasets.api_wrappers.coco_api',
    'mmdet.datasets.api_wrappers.cocoeval_mp',
    'mmdet.evaluation.functional.ytvis',
    'mmdet.evaluation.functional.ytviseval',
}
# mmseg warns of its own default whenever a loss is built.
_DEFAULT = 'Default ``avg_non_ignore`` is False'


def ignore_warnings() -> None:
    """Leaves out warnings that modules give when they are used, in the whole process."""
    warnings.filterwarnings('ignore', _DEFAULT)


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


class _WithoutProgress(SourceFileLoader):
    """Executes a module with a ``print`` that leaves its progress out."""

    def exec_module(self, module: ModuleType) -> None:
        """As of any module of a file."""
        vars(module)['print'] = _print
        super().exec_module(module)


def _print(*values: object, **settings: Any) -> None:
    if not (values and str(values[0]).startswith(_PROGRESS)):
        builtins.print(*values, **settings)


class WithoutNotices(MetaPathFinder):
    """Finds the modules that say it where they lie, and nothing else.

    As who imports them is anybody, a registry, a head or a script, what they say is taken where
    they are imported.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module as it is found without this, but executed without what it says."""
        loader = _LOADERS.get(name)
        found = None if loader is None else PathFinder.find_spec(name, path, target)
        if loader is None or found is None or found.origin is None:
            return None
        return spec_from_file_location(
            name,
            found.origin,
            loader=loader(name, found.origin),
            submodule_search_locations=found.submodule_search_locations,
        )


_LOADERS: dict[str, type[SourceFileLoader]] = {
    **dict.fromkeys(_MODULES, _QuietLoader),
    **dict.fromkeys(_PRINTING, _WithoutProgress),
}
