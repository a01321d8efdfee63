"""Whether an environment is up to date: its stamp says what it was made from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from environment import Environment
from installs import headless_wins
from pins import BUILD_TOOLS, DEVELOPMENT, MM_LIBS, OPENCV, PINS, ROOT, RUNTIME, TORCH

MODULES = sorted(Path(__file__).resolve().parent.glob('*.py'))
# What decides whether an environment is up to date.
STAMPED = (PINS, *MODULES, ROOT / 'setup.py', ROOT / 'pyproject.toml')


def stamp_text() -> str:
    """Return what the stamp of an up-to-date environment holds."""
    digest = hashlib.sha256()
    for path in STAMPED:
        digest.update(path.read_bytes())
    # A development install points at one source folder.
    return f'{digest.hexdigest()} {ROOT}\n'


def is_ready(env: Environment) -> bool:
    """Say, in a fraction of a second, whether there is nothing to do."""
    packages = [*BUILD_TOOLS, *TORCH, 'onedl-mmcv', *MM_LIBS, *RUNTIME, *DEVELOPMENT]
    return (
        env.stamp.exists()
        and env.stamp.read_text() == stamp_text()
        and not env.missing([*packages, 'xtcocotools', 'mmpose', OPENCV])
        and headless_wins(env)
        and env.output('-c', '') is not None
    )
