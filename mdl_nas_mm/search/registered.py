"""Builds the parts of a search that ``search_cfg`` may name: its cost, score and selection."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from mdl_nas_mm.registry import SEARCH_COSTS, SEARCH_SCORES, SEARCH_SELECTIONS
from mdl_nas_mm.utils.registries import registered_here

_REGISTRIES = dict(cost=SEARCH_COSTS, score=SEARCH_SCORES, selection=SEARCH_SELECTIONS)
# What there is to build them from: a constructor is given what it names of these.
_THERE = dict(
    cost=('ledger', 'backbone', 'part_flops', 'part_times', 'spaces', 'images', 'pass_groups'),
    score=('evaluate', 'sample', 'spaces', 'model', 'cfg', 'folder'),
    selection=('cost', 'weights', 'ties'),
)
PARTS = tuple(_REGISTRIES)


def registered_class(part: str, config: Mapping) -> type:
    """The class that a part's config names.

    Raises:
        ValueError: it is no registered one.
    """
    registry = _REGISTRIES[part]
    if not isinstance(config, Mapping):
        raise ValueError(f'search_cfg.{part}: {ascii(config)[:80]}, expected a dict with a type')
    found = registered_here(config.get('type'), registry)
    if found is None:
        raise ValueError(
            f'search_cfg.{part}: {ascii(config.get("type"))[:80]} is no registered '
            f'{registry.name}, expected one of {sorted(registry.module_dict)}'
        )
    return found


def check_part_config(part: str, config: Mapping) -> None:
    """Finds what is wrong with a part's config before it is built.

    Raises:
        ValueError: the class is not registered, or a key is unknown or missing.
    """
    parameters = inspect.signature(registered_class(part, config)).parameters
    name, there = config['type'], _THERE[part]
    for key in _settings(config):
        if key not in parameters or key in there:
            expected = sorted(set(parameters) - set(there))
            raise ValueError(f'search_cfg.{part}: {name} has no key {key!r}, expected {expected}')
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in {*_settings(config), *there}:
            raise ValueError(f'search_cfg.{part}: {name} needs {key!r}')


def build(part: str, config: Mapping, **there: Any) -> Any:
    """Builds a part from its config, and from what its constructor names of ``there``.

    Raises:
        ValueError: see ``check_part_config``.
    """
    check_part_config(part, config)
    kind = registered_class(part, config)
    names = inspect.signature(kind).parameters
    given = {name: value for name, value in there.items() if name in names}
    return kind(**_settings(config), **given)


def _settings(config: Mapping) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in ('type', '_scope_')}
