"""What a deposit keeps of a data set, so that its class is needed for evaluations alone."""

from __future__ import annotations

import copy
import os.path as osp
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS

from mdl_nas_mm.tasks import build_eval_loader, task_scope
from mdl_nas_mm.utils.data_paths import data_paths, prepared_dataset
from mdl_nas_mm.utils.registries import registered
from mdl_nas_mm.utils.upstream import upstream_config_path


def data_metainfo(task: str, scope: str, dataloader: Mapping) -> dict[str, Any]:
    """Class names, colours, key points and the like, of plain values.

    They are what the data set says of itself without its data; where that has no classes, those of
    the folders that images lie in.

    Args:
        task: what errors call it.
        scope: the library that the data set is of.
        dataloader: of the validation split, see ``self_contained``.
    """
    dataset = prepared_dataset(dataloader)
    with task_scope(scope):
        try:
            found = DATASETS.build(dict(copy.deepcopy(dataset), lazy_init=True)).metainfo
        except (AssertionError, AttributeError, OSError, TypeError):
            # Not every class can be made without its data.
            kind = registered(dataset['type'], DATASETS, scope)
            found = getattr(kind, 'METAINFO', {})
            found = dict(found, **(dataset.get('metainfo') or {}))
    paths = list(data_paths(dataloader))
    if found.get('classes') is None and paths and all(map(osp.exists, paths)):
        built = build_eval_loader(task, scope, dataloader).dataset
        found = getattr(built, 'metainfo', None) or found
    return _plain({key: value for key, value in found.items() if value is not None})


def self_contained(config: Any) -> Any:
    """A config that has what it names files for, and does not say where weights came from.

    mmpose's data sets name files of their keypoints; a model may name a checkpoint that its
    training started from.
    """
    kind: type[Any] = type(config)
    if isinstance(config, Mapping):
        changed = {key: self_contained(value) for key, value in config.items()}
        named = config.get('metainfo')
        file = _config_file(named.get('from_file')) if isinstance(named, Mapping) else None
        if file is not None:
            changed['metainfo'] = Config.fromfile(file)['dataset_info'].to_dict()
        if _is_checkpoint(config.get('init_cfg')):
            del changed['init_cfg']
        return kind(changed)
    if kind in (list, tuple):
        return kind(self_contained(item) for item in config)
    return config


def _config_file(name: str | None) -> str | Path | None:
    """Where a file of keypoints lies: as it is named, or with mmpose's own configs."""
    if name is None or osp.isfile(name):
        return name
    with suppress(FileNotFoundError):
        return upstream_config_path(f'mmpose::{name.removeprefix("configs/")}')
    return None


def _is_checkpoint(init_cfg: Any) -> bool:
    return isinstance(init_cfg, Mapping) and init_cfg.get('type') == 'Pretrained'


def _plain(value: Any) -> Any:
    """Without arrays and sets, which JSON has not."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, (list, set, frozenset)):
        return [_plain(item) for item in value]
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
