"""A task's data, in an order and with an augmentation that depend on the position alone.

Which sample comes at which position, and how it is augmented, is a function of the seed, the
task and the position. So a run that goes on at iteration n sees what it would have seen, with
any number of workers, and no random state has to be stored.
"""

from __future__ import annotations

import copy
import itertools
import random
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.registry import DATA_SAMPLERS, DATASETS, FUNCTIONS
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from .scope import task_scope


def derive_seed(*parts: int | str) -> int:
    """A 32-bit seed that is a fixed function of its parts."""
    return zlib.crc32('/'.join(str(part) for part in parts).encode())


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds Python, numpy and torch inside the block, and restores their states after it."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


class PositionSeeded(Dataset):
    """A data set whose items are asked for as (index, position) and augmented by the position."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> Any:
        index, position = key
        with seeded(derive_seed(self.seed, position)):
            return self.dataset[index]

    def get_data_info(self, key: tuple[int, int]) -> dict:
        """For samplers that group images by their sizes."""
        return self.dataset.get_data_info(key[0])

    @property
    def metainfo(self) -> Any:
        """The data set's own meta information."""
        return self.dataset.metainfo


class EndlessOrder(Sampler):
    """(index, position) without end: one permutation after the other."""

    def __init__(self, dataset: PositionSeeded, shuffle: bool, seed: int) -> None:
        self.dataset = dataset
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self) -> Iterator[tuple[int, int]]:
        size = len(self.dataset)
        for epoch in itertools.count():
            order = torch.arange(size)
            if self.shuffle:
                generator = torch.Generator().manual_seed(derive_seed(self.seed, 'epoch', epoch))
                order = torch.randperm(size, generator=generator)
            for i, index in enumerate(order.tolist()):
                yield index, epoch * size + i


class BatchesFrom:
    """The batches of a batch sampler from the given one on, without loading those before."""

    def __init__(self, batch_sampler: Any, start: int) -> None:
        self.batch_sampler = batch_sampler
        self.start = start

    def __iter__(self) -> Iterator[list]:
        return itertools.islice(iter(self.batch_sampler), self.start, None)


def build_train_loader(
    task: str, scope: str, config: Mapping, seed: int, start: int = 0
) -> DataLoader:
    """An endless loader of a task's training batches, beginning with batch ``start``.

    The upstream config's data set, batch sampler, collation and worker settings are kept; its
    sampler is replaced by ``EndlessOrder``, which honours its ``shuffle``.

    Raises:
        ValueError: the split has no images.
    """
    config = copy.deepcopy(dict(config))
    seed = derive_seed(seed, task)
    with task_scope(scope):
        dataset_config = config.pop('dataset')
        with _not_empty(task, dataset_config):
            dataset = DATASETS.build(copy.deepcopy(dataset_config))
            if hasattr(dataset, 'full_init'):
                dataset.full_init()
        _check_not_empty(task, dataset, dataset_config)
        dataset = PositionSeeded(dataset, seed)
        shuffle = config.pop('sampler', {}).get('shuffle', True)
        sampler = EndlessOrder(dataset, shuffle, seed)
        batch_size, batches = config.pop('batch_size'), config.pop('batch_sampler', None)
        if batches is None:
            batches = BatchSampler(sampler, batch_size, drop_last=False)
        else:
            batches = DATA_SAMPLERS.build(
                batches, default_args=dict(sampler=sampler, batch_size=batch_size)
            )
        collate = dict(config.pop('collate_fn', dict(type='pseudo_collate')))
        function = FUNCTIONS.get(collate.pop('type'))
    for key in ('drop_last', 'worker_init_fn'):
        config.pop(key, None)
    if not config.get('num_workers'):
        config.pop('persistent_workers', None)
    return DataLoader(
        dataset,
        batch_sampler=BatchesFrom(batches, start),
        collate_fn=partial(function, **collate),
        **config,
    )


def build_eval_loader(task: str, scope: str, config: Mapping) -> DataLoader:
    """A loader over an evaluation split, as the upstream library builds it.

    Raises:
        ValueError: the split has no images.
    """
    config = copy.deepcopy(config)
    if not config.get('num_workers'):
        config.pop('persistent_workers', None)
    with task_scope(scope), _not_empty(task, config['dataset']):
        loader = Runner.build_dataloader(config)
    _check_not_empty(task, loader.dataset, config['dataset'])
    return loader


@contextmanager
def _not_empty(task: str, config: Mapping) -> Iterator[None]:
    """Says which split it is where building a data set fails because it has no images."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        # mmengine concatenates the (no) samples; mmpretrain looks for files in class folders.
        if re.search('need at least one array|Found 0 files', str(error)):
            _check_not_empty(task, (), config)
        raise


def _check_not_empty(task: str, dataset: Any, config: Mapping) -> None:
    if len(dataset) == 0:
        name = config.get('ann_file') or config.get('data_prefix') or config['type']
        root = config.get('data_root')
        raise ValueError(f'task {task!r}: no images in {name!r} of {root!r}') from None
