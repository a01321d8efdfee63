"""Builds what ``search_cfg`` names: a cost, a score, a selection."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.registry import Registry

from mdl_nas_mm.registry import SCOPE


def registered_class(config: Mapping, registry: Registry, where: str) -> type:
    """The class that a config names.

    Raises:
        ValueError: it is no registered one. mmengine would look among all that can be imported.
    """
    if not isinstance(config, Mapping):
        raise ValueError(f'{where}: {ascii(config)[:80]}, expected a dict with a type')
    registry.import_from_location()
    found = registry.module_dict.get(str(config.get('type')).removeprefix(f'{SCOPE}.'))
    if found is None:
        raise ValueError(
            f'{where}: {ascii(config.get("type"))[:80]} is no registered {registry.name}, '
            f'expected one of {sorted(registry.module_dict)}'
        )
    return found


def build(config: Mapping, registry: Registry, where: str, **there: Any) -> Any:
    """Builds what a config names.

    Args:
        where: what an error begins with.
        there: what there is to build it from; it is given what its constructor names of that.

    Raises:
        ValueError: the class is not registered, or a key is unknown or missing.
    """
    kind = registered_class(config, registry, where)
    names = inspect.signature(kind).parameters
    given = {key: value for key, value in config.items() if key not in ('type', '_scope_')}
    for key in given:
        if key not in names or key in there:
            expected = sorted(set(names) - set(there))
            raise ValueError(f'{where}: {config["type"]} has no key {key!r}, expected {expected}')
    for name, parameter in names.items():
        if parameter.default is parameter.empty and name not in {**given, **there}:
            raise ValueError(f'{where}: {config["type"]} needs {name!r}')
    return kind(**given, **{name: value for name, value in there.items() if name in names})
