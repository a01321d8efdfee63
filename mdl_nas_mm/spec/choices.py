"""The choices of one dimension, as configs write them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

from mdl_nas_mm.utils.amounts import is_number

from .spec import MAX_SIZE

Choices = tuple[Any, ...]
# Of one dimension; more are damage or malice.
MAX_CHOICES = 1000


def parse_choices(value, where: str, positive: bool = True, whole: bool = False) -> tuple:
    """An ascending tuple from a bare number or a sequence, or ValueError naming ``where``."""
    if not isinstance(value, (Real, Sequence)) or isinstance(value, (bool, str)):
        raise ValueError(f'{where}: a {type(value).__name__}, not a number or a list of numbers')
    values: tuple[Any, ...] = (value,) if isinstance(value, Real) else tuple(value)
    if not 0 < len(values) <= MAX_CHOICES:
        many = f'more than {MAX_CHOICES} choices' if values else 'no choice given'
        raise ValueError(f'{where}: {many}')
    for value in values:
        if not is_number(value) or not abs(value) <= MAX_SIZE:
            raise ValueError(f'{where}: {value!r} is no size')
    if positive and min(values) <= 0:
        raise ValueError(f'{where}: {min(values)} is not positive')
    if whole and any(value != int(value) for value in values):
        raise ValueError(f'{where}: {values} are not all whole numbers')
    return tuple(sorted(set(values)))


def parse_block_choices(
    value, depth: int, where: str, positive: bool = True, whole: bool = False
) -> list[tuple]:
    """One tuple of choices a block, from choices for all blocks or a list of one a block."""
    per_block = isinstance(value, Sequence) and any(isinstance(v, Sequence) for v in value)
    if not per_block:
        return [parse_choices(value, where, positive, whole)] * depth
    if len(value) != depth:
        raise ValueError(f'{where}: choices for {len(value)} blocks, the deepest has {depth}')
    return [parse_choices(v, where, positive, whole) for v in value]


def check_choice(value, choices: tuple, where: str) -> None:
    """Raises ValueError, naming ``where``, for a value that is no choice."""
    if value not in choices:
        raise ValueError(f'{where}: {value} is not one of {choices}')


def check_contained(own: Choices, whole: Choices, where: str) -> None:
    """Raises ValueError, naming ``where``, for a choice that is not one of the whole's."""
    for choice in own:
        check_choice(choice, whole, where)
