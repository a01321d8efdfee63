"""Names of which none is there twice."""

from __future__ import annotations

from itertools import chain, count


def unique_name(name: str, names: set[str], first: int = 2) -> str:
    """The name, with a number if it has been there before; it is added to ``names``.

    Args:
        name: as it is wanted.
        names: that are there.
        first: the number of the second one of this name.
    """
    numbered = (f'{name}_{number}' for number in count(first))
    unique = next(each for each in chain([name], numbered) if each not in names)
    names.add(unique)
    return unique
