"""Whether the data files of a config are there, before anything is built."""

from __future__ import annotations

import inspect
import os.path as osp
from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import DATASETS

from mdl_nas_mm.utils.data_paths import data_paths, datasets_in
from mdl_nas_mm.utils.registries import LIBRARIES, registered


def check_files(name: str, task: ConfigDict) -> None:
    """Raises FileNotFoundError for a file of a resolved task that is not there."""
    for split in ('train', 'val', 'search'):
        # What such a data set cannot have it says itself when it is built.
        if _writes_its_files(task[f'{split}_dataloader'].dataset, task.scope):
            continue
        for key in (f'{split}_dataloader', f'{split}_evaluator'):
            check_data(task.get(key), f'task {name!r}, {key}')


def check_data(config: Any, where: str) -> None:
    """Raises FileNotFoundError, naming ``where``, for a data file or folder that is not there."""
    for path in data_paths(config):
        if not osp.exists(path):
            raise FileNotFoundError(
                f'{where}: {path!r} is not there; check data_root, or where a part of the training '
                'set is meant, write it with mdl-nas hold-out'
            )


def check_kind(config: Any, where: str) -> None:
    """Raises ValueError, naming ``where``, for data that are neither files nor folders of a disk.

    A device such as ``/dev/zero`` never ends, and what lies in ``/proc`` is of processes.
    """
    for path in data_paths(config):
        real = osp.realpath(path)
        odd = osp.exists(real) and not (osp.isfile(real) or osp.isdir(real))
        if odd or f'{real}/'.startswith(('/proc/', '/sys/')):
            raise ValueError(f'{where}: {path!r} is no file or folder of data')


def _writes_its_files(dataset: dict, scope: str) -> bool:
    """Whether a data set may fetch or make its files: by ``download``, or a class of users' own."""
    for part in datasets_in(dataset):
        kind = registered(part['type'], DATASETS, scope)
        if not isinstance(kind, type):
            continue
        if kind.__module__.partition('.')[0] not in (*LIBRARIES, 'mmengine', 'mdl_nas_mm'):
            return True
        download = inspect.signature(kind).parameters.get('download')
        if download is not None and part.get('download', download.default):
            return True
    return False
