"""Config values as JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def to_json(value: Any) -> Any:
    """A config value as JSON knows it; tuples, and dicts with other keys than strings, are marked.

    Raises:
        ValueError: something that no JSON can hold, such as a class.
    """
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: to_json(item) for key, item in value.items()}
        return {'__items__': [[to_json(key), to_json(item)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {'__tuple__': [to_json(item) for item in value]}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f'{value!r} of type {type(value).__name__} cannot be stored as JSON')


def from_json(value: Any) -> Any:
    """The inverse of ``to_json``."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {'__tuple__'}:
        return tuple(from_json(item) for item in value['__tuple__'])
    if set(value) == {'__items__'}:
        return {from_json(key): from_json(item) for key, item in value['__items__']}
    return {key: from_json(item) for key, item in value.items()}
