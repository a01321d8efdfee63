"""What data a config reads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any


def data_paths(config: Any) -> Iterator[str]:
    """Walk a config for the local files and folders that its data sets and metrics read.

    Args:
        config: A config, or any part of one.

    Yields:
        ``data_root``, and ``ann_file`` and ``data_prefix`` joined to it.
    """
    if isinstance(config, Mapping):
        root = config.get('data_root')
        root = root if isinstance(root, str) else ''
        prefix = config.get('data_prefix') or {}
        below = list(prefix.values()) if isinstance(prefix, Mapping) else [prefix]
        below.append(config.get('ann_file'))
        for path in [root, *(os.path.join(root, str(name)) for name in below if name)]:
            if path and '://' not in path:
                yield path
        config = list(config.values())
    if isinstance(config, (list, tuple)):
        for item in config:
            yield from data_paths(item)


def datasets_in(dataset: dict) -> Iterator[dict]:
    """The config of a data set and of all that it is put around, first what is outside."""
    yield dataset
    for part in _inside(dataset):
        yield from datasets_in(part)


def _inside(dataset: dict) -> list[dict]:
    parts = [dataset['dataset']] if 'dataset' in dataset else dataset.get('datasets')
    return [p for p in parts if isinstance(p, dict)] if isinstance(parts, (list, tuple)) else []


def innermost_dataset(dataloader: Mapping) -> dict:
    """The config of a loader's data set itself, inside of what may be put around it.

    Of several that are put together it is the first: they are read and answered alike.
    """
    outside = dataloader.get('dataset') or {}
    return next(part for part in datasets_in(outside) if not _inside(part))


def prepared_dataset(dataloader: Mapping) -> dict:
    """The innermost data set's config with the pipeline and meta information that an image meets.

    These are of what is outside, where it has any.
    """
    outside, dataset = dataloader.get('dataset') or {}, dict(innermost_dataset(dataloader))
    for key in ('pipeline', 'metainfo'):
        stated = [part[key] for part in datasets_in(outside) if part.get(key)]
        if stated:
            dataset[key] = stated[0]
    return dataset
