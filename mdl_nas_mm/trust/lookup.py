"""Which class a ``type`` means, found without importing what a file names.

mmengine imports whatever a name may mean when no registry has it. Here registries are asked, and
nothing else.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from types import ModuleType

import mmcv.ops
from mmengine import registry as roots
from mmengine.registry import Registry

from mdl_nas_mm.utils.process_wide import process_wide

SCOPES = ('mmengine', 'mmcv', 'mdl_nas_mm', 'mmpretrain', 'mmdet', 'mmseg', 'mmpose')
_NAME = re.compile(r'(\w+\.)?\w+', re.ASCII)


def scopes() -> set[str]:
    """The mm libraries', and those of projects that have been imported."""
    return {*SCOPES, *roots.MODELS.children}


@process_wide()
def find(name: str, scope: str) -> list[Callable]:
    """What is registered under a name, in any registry that a library uses.

    Args:
        name: as in a config, with or without a scope before it.
        scope: where it is looked for otherwise.

    Returns:
        Nothing where there is no such name.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return []
    parent, _, own = name.rpartition('.')
    library = parent or scope
    if library not in scopes():
        return []
    registries = list(_registries(library))
    models = [registry for registry in registries if registry.name in ('model', 'task util')]
    # First without importing what else a library has, then its models, then all.
    for imported in ((), models, registries):
        for registry in imported:
            registry.import_from_location()
        if found := _named(own, registries):
            return found
        if imported and own in mmcv.ops.__all__:
            # Upstream looks for operators by itself.
            return [getattr(mmcv.ops, own)]
    return []


def short_name(found: Callable) -> str:
    """Library and class, such as ``mmdet.RetinaHead``."""
    return f'{found.__module__.partition(".")[0]}.{found.__qualname__}'


def full_name(found: Callable) -> str:
    """Module and class, such as ``mmdet.models.dense_heads.retina_head.RetinaHead``."""
    return f'{found.__module__}.{found.__qualname__}'


def _named(name: str, registries: list[Registry]) -> list[Callable]:
    found = {}
    for registry in registries:
        parent = registry.parent
        if parent is not None and name in parent.module_dict:
            # The library may have one of its own.
            registry.import_from_location()
        else:
            parent = registry
        value = registry.module_dict.get(name, parent.module_dict.get(name))
        if inspect.isclass(value) or inspect.isroutine(value):
            found[id(value)] = value
    return list(found.values())


def _registries(library: str) -> Iterator[Registry]:
    """Where upstream looks in a library: its own registries, mmengine's where it has none."""
    try:
        own = _registries_in(importlib.import_module(f'{library}.registry'))
    except ImportError:
        own = {}
    parents = _registries_in(roots)
    every = [parent.children.get(library, parent) for parent in parents.values()]
    # A library's module of registries has mmengine's as well.
    every += [registry for key, registry in own.items() if key not in parents]
    yield from {id(registry): registry for registry in every}.values()


def _registries_in(module: ModuleType) -> dict[int, Registry]:
    found = vars(module).values()
    return {id(value): value for value in found if isinstance(value, Registry)}
