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


def innermost_dataset(dataloader: Mapping) -> Mapping:
    """The config of a loader's data set itself, inside of what may be put around it."""
    dataset = dataloader.get('dataset') or {}
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset
