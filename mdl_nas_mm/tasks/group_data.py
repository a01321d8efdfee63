"""Loaders of an image group: the data of its tasks, each image loaded once for all of them."""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch.distributed as dist
from mmengine.dataset import DefaultSampler
from mmengine.logging import print_log
from mmengine.registry import DATASETS
from torch.utils.data import ConcatDataset, DataLoader

from mdl_nas_mm.utils.data_paths import datasets_in
from mdl_nas_mm.utils.randomness import derive_seed, seeded
from mdl_nas_mm.utils.registries import registered

from .data import BatchParts, build_dataset, check_parts, collate_function, endless_loader
from .failures import NamedSamples, in_images
from .group_batch import GroupBatch
from .joined_dataset import JoinedDataset
from .loader_settings import is_shuffled
from .merged_pipeline import MergedPipeline
from .metric_labels import check_metrics
from .pipelines import build_transforms, merged_stages
from .scope import task_scope
from .workers import end_with_parent

if TYPE_CHECKING:
    from .task import Split

# Sets of labels of which a sample is loaded before anything begins.
_KINDS = 8
# Settings of a loader that are made of the tasks' data sets, or that the order stands in for.
_NOT_COMPARED = ('dataset', 'sampler', 'drop_last')


def build_group_train_loader(
    images: str,
    scopes: Mapping[str, str],
    configs: Mapping[str, Mapping],
    seed: int,
    batches_per_step: int = 1,
    parts: Sequence[tuple[int, int, int]] = ((0, 0, 1),),
    group: dist.ProcessGroup | None = None,
) -> DataLoader:
    """An endless loader of what this rank has of an image group's training batches.

    It gives a ``GroupBatch`` where ``build_train_loader`` gives a batch of a single task.

    Args:
        images: name of the group.
        scopes: task -> its library, of all tasks of the group.
        configs: task -> config of its training loader, perhaps of others too.
        seed: see ``build_train_loader``.
        batches_per_step, parts, group: see ``build_train_loader``.

    Raises:
        ValueError: the tasks cannot be joined, or a first sample cannot be had.
        FileNotFoundError: files of labels are not there.
    """
    own = {task: copy.deepcopy(dict(configs[task])) for task in scopes}
    split, seed = 'train_dataloader', derive_seed(seed, images)
    _check_alike(images, split, scopes, own)
    scope, config = next(iter(scopes.values())), next(iter(own.values()))
    steps = partial(BatchParts, batches_per_step=batches_per_step, parts=parts)
    check_parts(f'images {images!r}', config['batch_size'], parts)
    dataset = _joined(images, scopes, own, split, group)
    _first_samples(dataset, split)
    with task_scope(scope, group):
        config.pop('dataset')
        collate = partial(_collate, collate=collate_function(config), tasks=tuple(scopes))
        return endless_loader(dataset, scope, config, collate, seed, steps)


def build_group_eval_loader(
    images: str,
    scopes: Mapping[str, str],
    splits: Mapping[str, Split],
    group: dist.ProcessGroup | None = None,
) -> DataLoader:
    """A loader of ``GroupBatch`` over what an image group is evaluated on, each image once.

    Each rank of ``group`` has its part. What an evaluator asks for of its own task is in the
    loader's ``dataset``: ``datasets[task].metainfo``, and ``labelled(task)`` for the number of its
    samples on all ranks.

    Args:
        images: name of the group.
        scopes: task -> its library.
        splits: task -> its loader and its evaluator.
        group: the ranks that evaluate the group.

    Raises:
        ValueError: see ``build_group_train_loader``; or a metric needs a label that is not there.
        FileNotFoundError: files of labels are not there.
    """
    configs = {task: copy.deepcopy(dict(split.dataloader)) for task, split in splits.items()}
    _check_alike(images, 'evaluation', scopes, configs)
    dataset = _joined(images, scopes, configs, 'evaluation', group, is_test=True)
    for task, sample in _first_samples(dataset, 'evaluation').items():
        check_metrics(task, scopes[task], splits[task].evaluator, sample)
    scope, config = next(iter(scopes.values())), next(iter(configs.values()))
    for key in (*_NOT_COMPARED, 'batch_sampler'):
        config.pop(key, None)
    if not config.get('num_workers'):
        config.pop('persistent_workers', None)
    named = NamedSamples(dataset)
    with task_scope(scope, group):
        collate = partial(_collate, collate=collate_function(config), tasks=tuple(scopes))
        # No image twice: upstream's metrics drop at the end what was added to have as many on
        # each rank, and those that have a task's label end anywhere.
        sampler = DefaultSampler(named, shuffle=False, seed=0, round_up=False)
    return DataLoader(
        named, sampler=sampler, collate_fn=collate, worker_init_fn=end_with_parent, **config
    )


def _collate(
    samples: Sequence[Mapping[str, dict]], collate: Callable, tasks: Sequence[str]
) -> GroupBatch:
    """Samples of an image group as a batch; each task's is of those that have its label."""
    places = {
        task: tuple(i for i, sample in enumerate(samples) if task in sample) for task in tasks
    }
    batches = {
        task: collate([samples[i][task] for i in of_task]) if of_task else None
        for task, of_task in places.items()
    }
    return GroupBatch(len(samples), batches, places)


def _joined(
    images: str,
    scopes: Mapping[str, str],
    configs: Mapping[str, Mapping],
    split: str,
    group: dist.ProcessGroup | None,
    is_test: bool = False,
) -> JoinedDataset:
    """The data sets of all tasks as one; the log says how many labels it has."""
    datasets, pipelines = {}, {}
    for task, scope in scopes.items():
        config, pipeline = _without_pipeline(task, scope, configs[task]['dataset'])
        pipelines[task] = build_transforms(scope, pipeline)
        with task_scope(scope, group):
            datasets[task] = build_dataset(task, scope, config)
    stages = merged_stages(images, pipelines, split)
    dataset = JoinedDataset(images, datasets, MergedPipeline(stages), is_test)
    print_log(f'{split}, {dataset}', 'current', logging.INFO)
    return dataset


def _without_pipeline(task: str, scope: str, config: Mapping) -> tuple[dict, list]:
    """A data set's config with an empty pipeline, which gives what it says of its images.

    Raises:
        ValueError: it is put around others that cannot be joined, or they have several pipelines.
    """
    config, pipelines = copy.deepcopy(dict(config)), []
    for part in datasets_in(config):
        if 'dataset' in part or 'datasets' in part:
            kind = registered(part['type'], DATASETS, scope)
            if not (isinstance(kind, type) and issubclass(kind, ConcatDataset)):
                raise ValueError(
                    f'task {task!r}: {part["type"]} cannot be joined with the data sets of other '
                    'tasks, which have each image once; write what is inside of it, or several '
                    'in a ConcatDataset'
                )
        else:
            pipelines.append(list(part.get('pipeline', ())))
            part['pipeline'] = []
    for other in pipelines[1:]:
        if other != pipelines[0]:
            raise ValueError(
                f'task {task!r}: the parts of its data set have different pipelines; tasks with '
                'the same images have one each'
            )
    return config, pipelines[0]


def _check_alike(
    images: str, split: str, scopes: Mapping[str, str], configs: Mapping[str, Mapping]
) -> None:
    """Raises ValueError where the tasks' loaders differ in what is of all of them."""
    (first, usual), *others = (
        (task, _settings(config, scopes[task], split)) for task, config in configs.items()
    )
    for task, other in others:
        for key in dict.fromkeys((*usual, *other)):
            if usual.get(key) != other.get(key):
                raise ValueError(
                    f'images {images!r}, {split}: {key} is {usual.get(key)!r} in task {first!r} '
                    f'and {other.get(key)!r} in task {task!r}; tasks with the same images have '
                    'one loader'
                )


def _settings(config: Mapping, scope: str, split: str) -> dict[str, Any]:
    """What a loader's config says, and torch's default where it says nothing."""
    parameters = inspect.signature(DataLoader).parameters.values()
    settings = {p.name: p.default for p in parameters if p.default is not p.empty}
    settings |= {'collate_fn': dict(type='pseudo_collate'), **config}
    if split == 'train_dataloader':
        settings['sampler.shuffle'] = is_shuffled(config.get('sampler'), scope)
    if not config.get('num_workers'):
        settings.pop('persistent_workers')
    return {key: value for key, value in settings.items() if key not in _NOT_COMPARED}


def _first_samples(dataset: JoinedDataset, split: str) -> dict[str, dict]:
    """A sample of each task, from images with each of the sets of labels that there are.

    So what cannot be joined is known before a training begins.
    """
    found: dict[str, dict] = {}
    for index in dataset.first_of_each_kind()[:_KINDS]:
        with in_images(dataset.images, split), seeded(0):
            found = {**dataset[index], **found}
    return found
