"""Names of which none is there twice."""

from __future__ import annotations


def unique_name(name: str, names: set[str]) -> str:
    """The name, with a number if it has been there before; it is added to ``names``."""
    unique, number = name, 1
    while unique in names:
        number += 1
        unique = f'{name}_{number}'
    names.add(unique)
    return unique
