"""How wide what goes into and out of a decode head is, by its arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def channels_in(settings: Mapping[str, Any]) -> int:
    """Channels of the map that a decode head makes of its inputs."""
    value = settings['in_channels']
    is_joined = settings.get('input_transform') == 'resize_concat'
    if settings.get('input_transform') is not None and not is_joined:
        raise ValueError("input_transform: a slimmable head takes one map, or 'resize_concat'")
    return sum(value) if is_joined and isinstance(value, Sequence) else value


def classes_of(settings: Mapping[str, Any]) -> int:
    """Channels of a decode head's output."""
    given = settings.get('out_channels')
    return settings['num_classes'] if given is None else given
