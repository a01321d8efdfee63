"""Checkpoints that mmengine loads, read as data too, wherever they lie."""

from __future__ import annotations

import os.path as osp
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.runner.checkpoint import (
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)

from .fetch import local_file
from .private import from_mmcls, reading_with
from .process_wide import process_wide
from .torch_file import read_torch_file

_LISTS = {
    'torchvision': get_torchvision_models,
    'modelzoo': get_torchvision_models,
    'open-mmlab': get_external_models,
    'openmmlab': get_external_models,
    'mmcls': get_mmcls_models,
}
_SCHEMES = ('', 'http://', 'https://', *(f'{name}://' for name in _LISTS))


def fetched(name: str | Path) -> Path:
    """The file of a checkpoint, which is downloaded once if it lies elsewhere.

    Args:
        name: a path, an address as ``local_file`` takes it, or a name that mmengine knows an
            address of, as in ``torchvision://resnet50`` or ``open-mmlab://detectron2/...``.

    Raises:
        FileNotFoundError, ValueError: see ``local_file``; or mmengine does not know the name.
    """
    scheme, _, rest = str(name).partition('://')
    if scheme not in _LISTS:
        return Path(osp.expanduser(local_file(name)))
    known, rest = _LISTS[scheme](), get_deprecated_model_names().get(rest, rest)
    if rest not in known:
        raise ValueError(f'checkpoint {name}: mmengine knows no address of this name')
    return local_file(known[rest])


@contextmanager
def data_only(trust: bool = False) -> Generator[None]:
    """Makes mmengine read checkpoints with ``read_torch_file`` inside the block.

    That is what upstream's runner loads and resumes, and what ``init_cfg`` of any module names.

    Args:
        trust: whether they may hold anything.
    """

    # mmengine logs the end of this name.
    def load_from_file(filename: str, map_location: Any = None, **kwargs: Any) -> Any:
        content = read_torch_file(fetched(filename), trust)
        return from_mmcls(content) if filename.startswith('mmcls://') else content

    # Its table is one for the process: another thread would take ours for what was there before.
    with process_wide(), reading_with(_SCHEMES, load_from_file):
        yield
