"""The classes that are known, and their arguments: one file a library in ``classes/``."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / 'classes'


@cache
def known_classes() -> dict[str, frozenset[str]]:
    """``mmdet.RetinaHead`` and the like, and which arguments a file may give each."""
    found = {}
    for path in sorted(_FOLDER.glob('*.json')):
        classes = json.loads(path.read_text())
        found |= {f'{path.stem}.{name}': frozenset(names) for name, names in classes.items()}
    return found
