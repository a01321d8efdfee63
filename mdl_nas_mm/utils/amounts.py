"""Numbers as people read and write them."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, TypeGuard


def shown_amount(value: float) -> str:
    """A whole number to its last digit, with which it can be a budget; any other in six digits."""
    return f'{value:,.0f}' if float(value).is_integer() else f'{value:,.6g}'


def shown_least(value: float) -> str:
    """As ``shown_amount``, but no less than the value, so that it is enough as a budget."""
    shown = shown_amount(value)
    # Half of the last of six digits.
    return shown if float(shown.replace(',', '')) >= value else shown_amount(value * (1 + 5e-6))


def shown_score(score: float, unit: float = 1.0) -> str:
    """A score as its metric is known: percent, or what its evaluator gives of any other.

    Args:
        score: as it is stored and added up.
        unit: what one of the metric's own unit counts; negative where a score is one of a search,
            in which errors are negative.
    """
    # Zero is not to be negative.
    value = score / unit + 0.0
    return f'{value:.4g}' if 0 < abs(value) < 1 else f'{value:.2f}'


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a real number; NumPy's own are, and nan and infinity."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_at_least(value: Any, least: float, where: str) -> None:
    """Raises ValueError, naming ``where``, unless a value is a finite number that is not below."""
    if not (is_number(value) and least <= value < math.inf):
        raise ValueError(f'{where} {value!r}, expected a number of at least {least:g}')


def check_above(value: Any, limit: float, where: str) -> None:
    """Raises ValueError, naming ``where``, unless a value is a finite number above a limit."""
    if not (is_number(value) and limit < value < math.inf):
        raise ValueError(f'{where} {value!r}, expected a number above {limit:g}')


def check_count(where: str, key: str, value: Any, least: int) -> None:
    """Raises ValueError unless a setting is a whole number that is not too small."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f'{where}: {key} is {value!r}, expected a whole number from {least} on')
