"""Configs of plain values: classes and functions become the names that they are registered by."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import Registry, root

from mdl_nas_mm.registry import SCOPE

from .registries import registered


def config_with_names(cfg: Config, scope: str) -> ConfigDict:
    """What a config says, without what it imports to say it.

    Configs of mmengine's new style import the classes that they are about. By name they can be
    compared, stored and shown, and whoever builds from them need not know both styles.

    Args:
        cfg: a config of either style.
        scope: the library that the names are for.

    Raises:
        ValueError: see ``with_names``.
    """
    return ConfigDict({key: with_names(cfg[key], scope, key) for key in cfg.to_dict()})


def with_names(value: Any, scope: str, where: str = 'config') -> Any:
    """A part of a config with names in place of classes and functions.

    mmengine leaves ``_scope_`` in what comes from a ``_base_`` of this package. Our configs name
    the library of a class wherever it is not the task's, so it says nothing and is left out.

    Args:
        value: a config, or any value in one.
        scope: the library that the names are for.
        where: what an error begins with.

    Raises:
        ValueError: a function has no name that leads to it, such as a lambda.
    """
    if isinstance(value, Mapping):
        items = (pair for pair in value.items() if pair != ('_scope_', SCOPE))
        return {k: with_names(item, scope, f'{where}.{k}') for k, item in items}
    if isinstance(value, (list, tuple)):
        items = (with_names(item, scope, f'{where}[{i}]') for i, item in enumerate(value))
        # Named tuples take their fields one by one.
        return type(value)(*items) if hasattr(value, '_fields') else type(value)(items)
    if inspect.isclass(value) or inspect.isroutine(value):
        return _name_of(value, scope, where)
    return value


def without_delete(config: Any) -> Any:
    """A merged config without the ``_delete_`` that mmengine leaves where there was nothing."""
    if isinstance(config, Mapping):
        items = config.items()
        return ConfigDict({k: without_delete(v) for k, v in items if k != '_delete_'})
    if type(config) in (list, tuple):
        return type(config)(without_delete(item) for item in config)
    return config


def _name_of(thing: Any, scope: str, where: str) -> str:
    """The registered name of a class or function; else the path of its module and its name."""
    found = list(_registered(thing))
    for registry, name in found:
        # None but mmengine's own registries know which one a library has.
        if registered(name, _root_of(registry), scope) is thing:
            return name
    if found:
        registry, name = found[0]
        return f'{registry.scope}.{name}'
    path = f'{thing.__module__}.{thing.__qualname__}'
    if '<' in path:
        raise ValueError(f'{where}: {thing.__qualname__!r} has no name that it could be found by')
    return path


def _root_of(registry: Registry) -> Registry:
    while registry.parent is not None:
        registry = registry.parent
    return registry


def _registered(thing: Any) -> Iterator[tuple[Registry, str]]:
    """Every registry that has a class or function, and the name there."""
    waiting = [value for value in vars(root).values() if isinstance(value, Registry)]
    while waiting:
        registry = waiting.pop()
        waiting += registry.children.values()
        for name, value in registry.module_dict.items():
            if value is thing:
                yield registry, name
