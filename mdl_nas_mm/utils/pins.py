"""The versions that were tried, of each stack: its requirements file says them, and nothing else.

Standard library only, for any Python from 3.8 on: the set-up reads them before there is a stack.
"""

from __future__ import annotations

import re
from pathlib import Path

FILES = {'onedl': 'requirements.txt', 'openmmlab': 'requirements-openmmlab.txt'}
_PACKAGE = Path(__file__).resolve().parent.parent
_FORM = r'([\w.-]+)==([^\s;]+)\s*(?:;\s*python_version\s*(<|>=)\s*"3\.(\d+)")?\s*$'


def pins_file(stack: str) -> Path:
    """The requirements file of a stack: of the source tree, or of the installed package."""
    source = _PACKAGE.parent / FILES[stack]
    return source if source.is_file() else _PACKAGE / '.mim' / FILES[stack]


def normalize(name: str) -> str:
    """A distribution's name in the one form that all its spellings share."""
    return re.sub(r'[-_.]+', '-', name).lower()


def read_pins(text: str, minor: int) -> dict[str, str]:
    """Reads the pins of a requirements file.

    Args:
        text: lines ``name==version`` with, at most, a marker ``; python_version < "3.11"`` or
            ``>= "3.11"``.
        minor: the environment's Python is ``3.<minor>``.

    Returns:
        Version by normalized name.

    Raises:
        ValueError: a line has another form; names it.
    """
    pins = {}
    for line in text.splitlines():
        line = line.split('#')[0].strip()
        if not line:
            continue
        match = re.match(_FORM, line)
        if match is None:
            raise ValueError(f'requirements: cannot read the line "{line}"')
        name, version, sign, bound = match.groups()
        if sign is None or (minor < int(bound)) == (sign == '<'):
            pins[normalize(name)] = version
    return pins
