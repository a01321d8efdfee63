"""Which packages are installed, and in which versions: requirements.txt pins them all."""

from __future__ import annotations

import re
from pathlib import Path

from errors import SetupError

ROOT = Path(__file__).resolve().parent.parent.parent
PINS = ROOT / 'requirements.txt'

BUILD_TOOLS = ('pip', 'setuptools', 'wheel', 'ninja', 'packaging', 'psutil', 'cython')
TORCH = ('torch', 'torchvision', 'numpy')
MM_LIBS = (
    'onedl-mmengine',
    'onedl-mmpretrain',
    'onedl-mmsegmentation',
    'onedl-mmdetection',
    'onedl-mim',
)
RUNTIME = (
    'json-tricks',
    'matplotlib',
    'munkres',
    'pillow',
    'rich',
    'safetensors',
    'scikit-learn',
    'scipy',
)
DEVELOPMENT = ('fvcore', 'pre-commit', 'pytest', 'ruff', 'tensorboard')
OPENCV = 'opencv-python-headless'


def normalize(name: str) -> str:
    """Write a package's name in the one form that all its spellings share."""
    return re.sub(r'[-_.]+', '-', name).lower()


def read_pins(text: str, minor: int) -> dict[str, str]:
    """Read the pins of a requirements file.

    Args:
        text: The lines, ``name==version`` with, at most, a marker
            ``; python_version < "3.11"`` or ``>= "3.11"``.
        minor: The environment's Python is ``3.<minor>``.

    Returns:
        Version by normalized name.
    """
    form = r'([\w.-]+)==([^\s;]+)\s*(?:;\s*python_version\s*(<|>=)\s*"3\.(\d+)")?\s*$'
    pins = {}
    for line in text.splitlines():
        line = line.split('#')[0].strip()
        if not line:
            continue
        match = re.match(form, line)
        if match is None:
            raise SetupError(f'{PINS.name}: cannot read the line "{line}"')
        name, version, sign, bound = match.groups()
        if sign is None or (minor < int(bound)) == (sign == '<'):
            pins[normalize(name)] = version
    return pins
