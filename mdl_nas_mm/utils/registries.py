"""What a library finds under a name, looked up by one thread at a time."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from mmengine.registry import Registry

from .process_wide import process_wide

LIBRARIES = ('mmpretrain', 'mmdet', 'mmseg', 'mmpose')


@contextmanager
def registry_of(scope: str, kind: Registry) -> Generator[Registry]:
    """A library's registry of a kind, and its scope as the default one inside the block.

    Args:
        scope: the library.
        kind: mmengine's, or any other library's.
    """
    with process_wide(), kind.switch_scope_and_registry(scope) as registry:
        yield registry


def registered(name: Any, kind: Registry, scope: str) -> Any:
    """The class or function that a name means in a library; None where it means none.

    Args:
        name: as in a config; a class or a function is its own.
        kind: mmengine's registry of the kind.
        scope: the library.
    """
    if not isinstance(name, str):
        return name if callable(name) else None
    # Where there is nothing, OpenMMLab's own mmengine gives None and its forks raise an error.
    with registry_of(scope, kind) as registry, suppress(RuntimeError):
        return registry.get(name)
    return None


def registered_here(name: Any, registry: Registry) -> Any:
    """What is registered with this package under a name; None where nothing is.

    mmengine would look for the name among all that can be imported, which a stranger's file may
    not make it do.

    Args:
        name: as in a config, with the package's prefix or without.
        registry: one of ``mdl_nas_mm.registry``.
    """
    registry.import_from_location()
    plain = name.removeprefix(f'{registry.scope}.') if isinstance(name, str) else None
    return registry.module_dict.get(plain)


def named_in(config: Any, kind: Registry, scope: str, where: str) -> Any:
    """The class or function that a config names.

    Args:
        config: a dict with a ``type``.
        kind: the registry of mmengine that it is looked up in.
        scope: the library that names without a prefix are of.
        where: what an error begins with.

    Raises:
        ValueError: it names none, or one that is not there.
    """
    if not isinstance(config, Mapping) or 'type' not in config:
        raise ValueError(f'{where}: the type is missing')
    found = registered(config['type'], kind, scope)
    if found is None:
        name = config['type']
        others = [library for library in LIBRARIES if registered(name, kind, library) is not None]
        meant = ' or '.join(f"'{library}.{name}'" for library in others)
        raise ValueError(
            f'{where}: {scope} knows no {name!r}' + (f'; is {meant} meant?' if meant else '')
        )
    return found
