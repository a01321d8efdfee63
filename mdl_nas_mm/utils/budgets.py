"""Budgets as people write them: counts with a unit such as M, and times."""

from __future__ import annotations

import math
import re
from contextlib import suppress

MACS, PARAMS, MILLISECONDS = 'multiply-adds', 'parameters', 'milliseconds'
_UNITS = {'': 1, 'K': 10**3, 'M': 10**6, 'G': 10**9, 'T': 10**12}
# As refusals print numbers, which are copied from there; one comma alone may be a decimal one.
_THOUSANDS = re.compile(r'(?<![\d,.])\d{1,3}(,\d{3})+(?![\d,])')


def _without_commas(text: int | float | str) -> str:
    """The text of a number without the commas between its thousands."""
    return _THOUSANDS.sub(lambda match: match[0].replace(',', ''), str(text).strip())


def parse_count(text: int | float | str, what: str, example: str) -> int:
    """A count from ``235_000_000``, ``'235,000,000'``, ``'235M'`` or ``'1.5G'``.

    Raises:
        ValueError: it is not a positive number with such a unit.
    """
    number = _without_commas(text).replace('_', '')
    match = re.fullmatch(r'([0-9.]+(?:e[0-9]+)?)([KMGT]?)', number)
    value = 0.0
    if match is not None:
        with suppress(ValueError):
            value = float(match[1]) * _UNITS[match[2]]
    if not 1 <= value < math.inf:
        raise ValueError(f'{what} {text!r}: expected {example}')
    return int(value)


def parse_milliseconds(text: int | float | str, what: str) -> float:
    """Milliseconds from ``'40ms'`` or ``'0.04s'``, or ValueError."""
    match = re.fullmatch(r'([0-9.]+)(ms|s)', _without_commas(text))
    value = 0.0
    if match is not None:
        with suppress(ValueError):
            value = float(match[1]) * (1 if match[2] == 'ms' else 1000)
    if value <= 0:
        raise ValueError(f"{what} {text!r}: expected a time such as '40ms' or '0.04s'")
    return value


def read_budget(budget: str | float) -> tuple[str, float]:
    """Unit and amount of '10G' (multiply-adds), '5M params', or '25ms'.

    Raises:
        ValueError: it is in no such unit.
    """
    text = str(budget).strip()
    if re.fullmatch(r'[0-9.,]+m?s', text):
        return MILLISECONDS, parse_milliseconds(text, 'budget')
    number, _, unit = text.partition(' ')
    units = {'': MACS, 'MACs': MACS, 'multiply-adds': MACS, 'params': PARAMS, PARAMS: PARAMS}
    example = 'multiply-adds such as 10G, parameters such as "5M params", or a time such as 25ms'
    if unit not in units:
        raise ValueError(f'budget {text!r}: unknown unit {unit!r}, expected {example}')
    return units[unit], float(parse_count(number, 'budget', example))
