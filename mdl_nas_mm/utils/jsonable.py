"""Config values as JSON, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# What JSON does not have, and in which form it is written.
_MARKS = ('__tuple__', '__items__', '__float__')
_FLOATS = {'inf': math.inf, '-inf': -math.inf, 'nan': math.nan}


def to_json(value: Any) -> Any:
    """A config value as JSON knows it.

    Tuples, dicts with other keys than strings, and floats that are not finite are marked.

    Raises:
        ValueError: something that no JSON can hold, such as a class.
    """
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and key not in _MARKS for key in value):
            return {key: to_json(item) for key, item in value.items()}
        return {'__items__': [[to_json(key), to_json(item)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {'__tuple__': [to_json(item) for item in value]}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {'__float__': repr(float(value))}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f'{value!r} of type {type(value).__name__} cannot be stored as JSON')


def from_json(value: Any) -> Any:
    """The inverse of ``to_json``.

    Raises:
        ValueError: what is marked has not the form that ``to_json`` gives it.
    """
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    mark = next((mark for mark in _MARKS if set(value) == {mark}), None)
    if mark is None:
        return {key: from_json(item) for key, item in value.items()}
    inner = value[mark]
    if mark == '__float__' and isinstance(inner, str) and inner in _FLOATS:
        return _FLOATS[inner]
    if mark == '__tuple__' and isinstance(inner, list):
        return tuple(from_json(item) for item in inner)
    if mark == '__items__' and isinstance(inner, list):
        return _from_items(inner)
    raise ValueError(f'{mark} holds a {type(inner).__name__}, which it cannot')


def _from_items(pairs: list) -> dict:
    found = {}
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError('__items__ holds other things than pairs')
        key, item = map(from_json, pair)
        try:
            found[key] = item
        except TypeError:
            raise ValueError(f'a {type(key).__name__} cannot be the key of an item') from None
    return found
