"""What a task's loader may say, and which of it is not used: known before anything is built."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.registry import DATA_SAMPLERS, FUNCTIONS
from torch.utils.data import DataLoader

from mdl_nas_mm.utils.registries import named_in

# What is made of the config, or replaced; torch's DataLoader gets all else.
_OURS = ('dataset', 'sampler', 'batch_sampler', 'collate_fn', 'drop_last')
_NOT_TORCHS = ('shuffle', 'generator', 'worker_init_fn', 'sampler', 'batch_sampler')
_REFUSED = dict(
    num_batch_per_epoch='a training counts steps, not epochs; remove it, and give '
    'dataset.indices=N to train on the first N images alone',
    worker_init_fn='random numbers of a worker depend on the place of an image alone; remove it',
    generator='randomness.seed of the joint config seeds all loaders; remove it',
    shuffle="it belongs to the sampler: sampler=dict(type='DefaultSampler', shuffle=...)",
)
# mmpretrain's, which has no shuffle to say so.
_IN_ORDER = 'SequentialSampler'
_INSTEAD = dict(
    ClassAwareSampler='ClassBalancedDataset around the data set repeats images of rare classes',
    RepeatAugSampler='RepeatDataset around the data set repeats each image, not in the same batch',
    MultiSourceSampler='RepeatDataset around the parts of a ConcatDataset weighs them',
    GroupMultiSourceSampler='RepeatDataset around the parts of a ConcatDataset weighs them',
    MultiDataSampler='RepeatDataset around the parts of a ConcatDataset weighs them',
)


def check_train_loader(task: str, scope: str, config: Mapping) -> Iterator[str]:
    """What has to be known of the settings of a training loader.

    Yields:
        A line for each setting that is not used.

    Raises:
        ValueError: a setting is of no use here or unknown; says what to write.
    """
    where = f'task {task!r}, train_dataloader'
    for key, why in _REFUSED.items():
        if config.get(key) is not None:
            raise ValueError(f'{where}.{key} is not used: {why}')
    known = {*inspect.signature(DataLoader).parameters} - {*_NOT_TORCHS}
    for key in config:
        if key not in known and key not in _OURS and key not in _REFUSED:
            raise ValueError(f'{where}.{key}: no setting of a loader is named so')
    for key in ('dataset', 'batch_size'):
        if config.get(key) is None:
            raise ValueError(f'{where}.{key} is missing')
    check_counts(where, config)
    for key, registry in (('batch_sampler', DATA_SAMPLERS), ('collate_fn', FUNCTIONS)):
        if config.get(key) is not None:
            named_in(config[key], registry, scope, f'{where}.{key}')
    yield from _check_sampler(config.get('sampler'), scope, f'{where}.sampler')


def check_counts(where: str, config: Mapping) -> None:
    """Raises ValueError for a loader's number that is too small."""
    for key, least in dict(batch_size=1, num_workers=0).items():
        value = config.get(key, least)
        if type(value) is not int or value < least:
            raise ValueError(f'{where}.{key} is {value!r}, expected at least {least}')


def check_eval_loader(task: str, scope: str, key: str, config: Mapping) -> None:
    """Raises ValueError for a validation that would never end, or a sampler that is unknown."""
    sampler = config.get('sampler')
    if isinstance(sampler, Mapping):
        where = f'task {task!r}, {key}.sampler'
        kind = named_in(sampler, DATA_SAMPLERS, scope, where)
        if issubclass(kind, InfiniteSampler):
            raise ValueError(
                f'{where}: {sampler["type"]} never ends, so no evaluation would; write '
                "sampler=dict(type='DefaultSampler', shuffle=False)"
            )


def is_shuffled(sampler: Mapping | None, scope: str) -> bool:
    """Whether the order that stands in for a sampler is another one in each pass."""
    if sampler is None:
        return True
    kind = named_in(sampler, DATA_SAMPLERS, scope, 'sampler')
    return sampler.get('shuffle', kind.__name__ != _IN_ORDER)


def _check_sampler(sampler: Any, scope: str, where: str) -> Iterator[str]:
    if sampler is None:
        return
    kind = named_in(sampler, DATA_SAMPLERS, scope, where)
    if sampler.get('seed') is not None:
        yield f'{where}.seed is not used; randomness.seed of the joint config is'
    name = kind.__name__
    if kind not in (DefaultSampler, InfiniteSampler) and name != _IN_ORDER:
        order = 'shuffled ' if sampler.get('shuffle', True) else ''
        instead = f'; {_INSTEAD[name]}' if name in _INSTEAD else ''
        yield f'{where}: {name} is not used, images come in {order}passes over all{instead}'
