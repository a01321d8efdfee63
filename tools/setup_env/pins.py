"""Which packages a stack has, and in which versions: its requirements file pins them all."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from errors import SetupError

ROOT = Path(__file__).resolve().parent.parent.parent
# The package is not installed yet.
sys.path.append(str(ROOT))

from mdl_nas_mm.utils.pins import pins_file  # noqa: E402

BUILD_TOOLS = ('pip', 'setuptools', 'wheel', 'ninja', 'packaging', 'psutil', 'cython')
TORCH = ('torch', 'torchvision', 'numpy')
RUNTIME = (
    'json-tricks',
    'matplotlib',
    'moocore',
    'munkres',
    'pillow',
    'qpsolvers',
    'quadprog',
    'rich',
    'safetensors',
    'scikit-learn',
    'scipy',
    'torchjd',
    'torchmetrics',
    'xxhash',
)
EXPORT = ('onnx', 'onnxruntime', 'onnxscript')
TYPES = ('pyrefly',)
DEVELOPMENT = ('fvcore', 'pre-commit', 'pytest', 'pytest-xdist', 'ruff', 'tensorboard')
OPENCV = 'opencv-python-headless'


class Stack(NamedTuple):
    """One make of the mm libraries, with the torch that it runs on.

    Attributes:
        name: Value of ``--stack``.
        venv: Folder of its environment.
        pins: Requirements file of all its versions.
        pythons: Lowest and highest Python that its torch has wheels for.
        mmcv: Distribution of mmcv, whose operators are compiled.
        mm_libs: Distributions of the other mm libraries, mmpose left out.
        extra: What it alone has: what ONNX needs, where torch is new enough for it, and the type
            checker, which reads the types of that torch.
    """

    name: str
    venv: str
    pins: Path
    pythons: tuple[tuple[int, int], tuple[int, int]]
    mmcv: str
    mm_libs: tuple[str, ...]
    extra: tuple[str, ...] = ()

    def packages(self) -> list[str]:
        """Return everything that is installed by name."""
        return [
            *BUILD_TOOLS,
            *TORCH,
            self.mmcv,
            *self.mm_libs,
            *RUNTIME,
            *self.extra,
            *DEVELOPMENT,
            'xtcocotools',
            'mmpose',
            OPENCV,
        ]


ONEDL = Stack(
    name='onedl',
    venv='.venv',
    pins=pins_file('onedl'),
    pythons=((3, 10), (3, 12)),
    mmcv='onedl-mmcv',
    mm_libs=(
        'onedl-mmengine',
        'onedl-mmpretrain',
        'onedl-mmsegmentation',
        'onedl-mmdetection',
        'onedl-mim',
    ),
    extra=(*EXPORT, *TYPES),
)
OPENMMLAB = Stack(
    name='openmmlab',
    venv='.venv-openmmlab',
    pins=pins_file('openmmlab'),
    pythons=((3, 10), (3, 11)),
    mmcv='mmcv',
    # The last two are imported by mmsegmentation, which does not ask for them.
    mm_libs=('mmengine', 'mmpretrain', 'mmsegmentation', 'mmdet', 'openmim', 'ftfy', 'regex'),
)
STACKS = {stack.name: stack for stack in (ONEDL, OPENMMLAB)}


def stack_named(name: str) -> Stack:
    """Return a stack; SetupError for a name that there is not."""
    if name not in STACKS:
        raise SetupError(f'there is no stack {name!r}: say one of {", ".join(STACKS)}')
    return STACKS[name]
