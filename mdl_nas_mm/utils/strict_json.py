"""JSON of anybody, read within stated limits and without what JSON does not have."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

# Far beyond any file of ours. A value takes some hundred bytes of memory at most.
MAX_BYTES = 2**26
MAX_VALUES = 2**20
MAX_DEPTH = 64
_MAX_DIGITS = 100


def strict_json(text: str | bytes, max_values: int = MAX_VALUES) -> Any:
    """Parses JSON that says each thing once.

    Raises:
        ValueError: it is no JSON; has NaN, Infinity, a number beyond what a float holds, or a key
            twice in an object; is nested more than 64 deep, or has more values than it may.
    """
    if isinstance(text, bytes):
        text = text.decode('utf-8')
    if sum(map(text.count, ',:[{')) > max_values:
        raise ValueError(f'it has more than {max_values:,} values')
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_number,
            parse_float=_float,
            parse_int=_int,
        )
    except RecursionError:
        raise ValueError(f'it is nested more than {MAX_DEPTH} deep') from None
    _check_depth(value)
    return value


def read_json(path: str | os.PathLike, where: str, max_values: int = MAX_VALUES) -> Any:
    """Reads a file with ``strict_json``.

    Args:
        path: the file.
        where: what errors begin with; the file is to be named there.
        max_values: see ``strict_json``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is too large, or see ``strict_json``.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{where} is not there')
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f'{where} has more than {MAX_BYTES:,} bytes')
    try:
        return strict_json(path.read_bytes(), max_values)
    except ValueError as error:
        raise ValueError(f'{where} is no JSON ({error})') from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f'the key {ascii(twice)[:80]} stands twice in an object')
    return found


def _no_number(text: str) -> None:
    raise ValueError(f'{text} is no number of JSON')


def _float(text: str) -> float:
    number = float(text) if len(text) <= _MAX_DIGITS else math.inf
    if not math.isfinite(number):
        raise ValueError(f'{text[:20]} is no number that can be held')
    return number


def _int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f'{text[:20]}... is a number of {len(text)} digits')
    return int(text)


def _check_depth(value: Any) -> None:
    """Raises ValueError for values nested deeper than any real config's."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for each in level
            if isinstance(each, (dict, list))
            for item in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise ValueError(f'it is nested more than {MAX_DEPTH} deep')
