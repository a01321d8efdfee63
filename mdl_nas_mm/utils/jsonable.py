"""Config values as JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def to_json(value: Any) -> Any:
    """A config value as JSON knows it; tuples are marked, as some upstream code tells them apart.

    Raises:
        ValueError: something that no JSON can hold, such as a class.
    """
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
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
    return {key: from_json(item) for key, item in value.items()}
