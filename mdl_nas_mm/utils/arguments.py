"""Arguments of a class that a config gives as a dict."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any


def check_arguments(where: str, given: Any, kind: Callable) -> None:
    """Raises ValueError for what is no dict of a class's arguments, or lacks one that it needs.

    Args:
        where: what errors begin with.
        given: what a config gives.
        kind: the class, whose arguments have names.
    """
    known = inspect.signature(kind).parameters
    if not isinstance(given, Mapping):
        raise ValueError(f'{where}: {given!r}, expected a dict of some of {sorted(known)}')
    for key in given:
        if key not in known:
            raise ValueError(f'{where}: unknown key {key!r}, expected some of {sorted(known)}')
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in given:
            raise ValueError(f'{where}: {key!r} is missing')
