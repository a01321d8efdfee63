"""Whether an environment is up to date: its stamp says what it was made from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from environment import Environment
from installs import headless_wins
from pins import ROOT, Stack

MODULES = sorted(Path(__file__).resolve().parent.glob('*.py'))
# What decides, beside the pins, whether an environment is up to date.
FILES = ('setup.py', 'pyproject.toml', 'mdl_nas_mm/utils/pins.py')
STAMPED = (*MODULES, *(ROOT / name for name in FILES))


def stamp_text(stack: Stack) -> str:
    """Return what the stamp of an up-to-date environment holds."""
    digest = hashlib.sha256()
    for path in (stack.pins, *STAMPED):
        digest.update(path.read_bytes())
    # A development install points at one source folder.
    return f'{digest.hexdigest()} {ROOT}\n'


def is_ready(env: Environment) -> bool:
    """Say, in a fraction of a second, whether there is nothing to do."""
    return (
        env.stamp.exists()
        and env.stamp.read_text() == stamp_text(env.stack)
        and not env.missing(env.stack.packages())
        and headless_wins(env)
        and env.output('-c', '') is not None
    )
