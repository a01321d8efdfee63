"""A task's data, in an order and with an augmentation that depend on the position alone.

Which sample comes at which position, and how it is augmented, is a function of the seed, the
task and the position. So a run that goes on at iteration n sees what it would have seen, with
any number of workers, and no random state has to be stored.
"""

from __future__ import annotations

import copy
import itertools
import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
import torch.distributed as dist
from mmengine.registry import DATA_SAMPLERS, DATASETS, FUNCTIONS
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from mdl_nas_mm.utils.data_paths import innermost_dataset
from mdl_nas_mm.utils.private import start_workers
from mdl_nas_mm.utils.randomness import derive_seed, seeded, set_seed
from mdl_nas_mm.utils.registries import registered

from .classes import check_categories
from .failures import NamedSamples, in_task
from .loader_settings import is_shuffled
from .scope import task_scope
from .workers import end_with_parent


class PositionSeeded(Dataset):
    """A data set whose items are asked for as (index, position) and augmented by the position."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def reseed(self, seed: int) -> None:
        """Gives samples of another seed from now on."""
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: tuple[int, int]) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[tuple[int, int]]) -> list[Any]:
        """A batch, as loaders ask for it: the generators' states are read and put back once."""
        samples = []
        with seeded(0):
            for item, position in indices:
                set_seed(derive_seed(self.seed, position))
                samples.append(self.dataset[item])
        return samples

    def get_data_info(self, key: tuple[int, int]) -> dict:
        """For samplers that group images by their sizes."""
        return self.dataset.get_data_info(key[0])

    @property
    def metainfo(self) -> Any:
        """The data set's own meta information."""
        return self.dataset.metainfo


class EndlessOrder(Sampler):
    """(index, position) without end: one permutation after the other."""

    def __init__(self, dataset: PositionSeeded, shuffle: bool) -> None:
        self.dataset = dataset
        self.shuffle = shuffle

    def __iter__(self) -> Iterator[tuple[int, int]]:
        size = len(self.dataset)
        for epoch in itertools.count():
            order = torch.arange(size)
            if self.shuffle:
                seed = derive_seed(self.dataset.seed, 'epoch', epoch)
                generator = torch.Generator().manual_seed(seed)
                order = torch.randperm(size, generator=generator)
            for i, index in enumerate(order.tolist()):
                yield index, epoch * size + i


class BatchParts:
    """What one rank has of the batches of every step, without loading what came before.

    Args:
        batch_sampler: endless batches of indices.
        batches_per_step: how many of them make up one step.
        parts: (batch, part, parts) of each step, see ``RankAssignment.parts``.

    Attributes:
        start: the first step.
    """

    def __init__(
        self, batch_sampler: Any, batches_per_step: int, parts: Sequence[tuple[int, int, int]]
    ) -> None:
        self.batch_sampler = batch_sampler
        self.batches_per_step = batches_per_step
        self.parts = parts
        self.start = 0

    def restart(self, start: int) -> None:
        """Begins at a step."""
        self.start = start

    def __iter__(self) -> Iterator[list]:
        batches = itertools.islice(
            iter(self.batch_sampler), self.start * self.batches_per_step, None
        )
        while True:
            step = [next(batches) for _ in range(self.batches_per_step)]
            for batch, part, count in self.parts:
                yield step[batch][part_of(len(step[batch]), part, count)]


def part_of(size: int, part: int, parts: int) -> slice:
    """Where part number ``part`` of ``parts`` nearly equal ones lies in a batch."""
    return slice(part * size // parts, (part + 1) * size // parts)


def build_train_loader(
    task: str,
    scope: str,
    config: Mapping,
    seed: int,
    batches_per_step: int = 1,
    parts: Sequence[tuple[int, int, int]] = ((0, 0, 1),),
    group: dist.ProcessGroup | None = None,
) -> DataLoader:
    """An endless loader of what this rank has of a task's training batches.

    The upstream config's data set, batch sampler, collation and worker settings are kept; its
    sampler is replaced by ``EndlessOrder``, which honours its ``shuffle``.

    Args:
        task: what errors call it.
        scope: the library of the task.
        config: its upstream ``train_dataloader``.
        seed: of the order of the images, and of augmentation.
        batches_per_step: batches of the config's size that make up one step.
        parts: this rank's (batch, part, parts) of each step; it gets one batch for each.
        group: the task's ranks; a data set that fetches its files does so on the first of them.

    Raises:
        ValueError: the split has no images, or a batch is too small for its parts.
    """
    config = copy.deepcopy(dict(config))
    seed = derive_seed(seed, task)
    steps = partial(BatchParts, batches_per_step=batches_per_step, parts=parts)
    check_parts(f'task {task!r}', config['batch_size'], parts)
    with task_scope(scope, group):
        dataset = build_dataset(task, scope, config.pop('dataset'))
        return endless_loader(dataset, scope, config, collate_function(config), seed, steps)


def endless_loader(
    dataset: Any,
    scope: str,
    config: dict,
    collate: Callable,
    seed: int,
    steps: Callable[[Any], BatchParts],
) -> DataLoader:
    """The loader of a data set in ``EndlessOrder``; see ``build_train_loader``.

    Args:
        dataset: a built one.
        scope: the library that its samplers are looked up in.
        config: the loader's, without a data set and a way to collate; it is used up.
        collate: makes a batch of samples.
        seed: of the order of the images, and of augmentation.
        steps: what of the endless batches is given.
    """
    dataset = PositionSeeded(NamedSamples(dataset), seed)
    sampler = EndlessOrder(dataset, is_shuffled(config.pop('sampler', None), scope))
    batch_size, batches = config.pop('batch_size'), config.pop('batch_sampler', None)
    if batches is None:
        batches = BatchSampler(sampler, batch_size, drop_last=False)
    else:
        batches = DATA_SAMPLERS.build(
            batches, default_args=dict(sampler=sampler, batch_size=batch_size)
        )
    # An endless order has no last batch.
    config.pop('drop_last', None)
    if not config.get('num_workers'):
        config.pop('persistent_workers', None)
    return DataLoader(
        dataset,
        batch_sampler=steps(batches),
        collate_fn=collate,
        worker_init_fn=end_with_parent,
        **config,
    )


def restart(loader: DataLoader, name: str, seed: int, start: int) -> None:
    """Has an endless loader that has given nothing yet begin at a step, with another seed.

    Args:
        loader: of ``build_train_loader`` or ``build_group_train_loader``.
        name: its task or image group.
        seed: see there.
        start: the first step.
    """
    dataset, steps = cast(PositionSeeded, loader.dataset), cast(BatchParts, loader.batch_sampler)
    dataset.reseed(derive_seed(seed, name))
    steps.restart(start)


def check_parts(whose: str, batch_size: int, parts: Sequence[tuple[int, int, int]]) -> None:
    """Raises ValueError for a batch that has too few images for its parts."""
    for _, _, count in parts:
        if count > batch_size:
            raise ValueError(
                f'{whose}: its batch of {batch_size} images cannot be split over {count} ranks; '
                'raise batch_size, or groups of the task, or use fewer ranks'
            )


def build_dataset(task: str, scope: str, config: Mapping) -> Any:
    """A task's data set, as its library builds it, inside of its scope.

    Raises:
        ValueError: it has no images.
    """
    with _built(task, scope, config):
        dataset = DATASETS.build(copy.deepcopy(config))
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    _check_not_empty(task, scope, dataset, config)
    return dataset


def collate_function(config: dict) -> Callable:
    """Takes out of a loader's config how samples become a batch."""
    collate = dict(config.pop('collate_fn', None) or dict(type='pseudo_collate'))
    return partial(FUNCTIONS.get(collate.pop('type')), **collate)


def build_eval_loader(
    task: str, scope: str, config: Mapping, group: dist.ProcessGroup | None = None
) -> DataLoader:
    """A loader over an evaluation split, as the upstream library builds it for the task's ranks.

    Raises:
        ValueError: the split has no images.
    """
    named = dict(copy.deepcopy(config))
    if not named.get('num_workers'):
        named.pop('persistent_workers', None)
    named.update(dataset=dict(type='mdl_nas_mm.NamedSamples', dataset=named['dataset']))
    with task_scope(scope, group), _built(task, scope, config['dataset']):
        loader = Runner.build_dataloader(named)
    start_workers(loader, partial(end_with_parent, then=loader.worker_init_fn))
    _check_not_empty(task, scope, loader.dataset, config['dataset'])
    return loader


@contextmanager
def _built(task: str, scope: str, config: Mapping) -> Generator[None]:
    """Says which data set it is that cannot be built, and where it is so for want of images."""
    with in_task(task, f'data set {config["type"]}'):
        try:
            yield
        except (ValueError, RuntimeError) as error:
            # mmengine concatenates the (no) samples; mmpretrain looks for files in class folders.
            if re.search('need at least one array|Found 0 files', str(error)):
                _check_not_empty(task, scope, (), config)
            raise


def _check_not_empty(task: str, scope: str, dataset: Any, config: Mapping) -> None:
    if len(dataset):
        return
    config = innermost_dataset(dict(dataset=config))
    name = config.get('ann_file') or config.get('data_prefix') or config['type']
    root = config.get('data_root')
    kind = registered(config['type'], DATASETS, scope)
    said = {**(getattr(kind, 'METAINFO', None) or {}), **(config.get('metainfo') or {})}
    classes = said.get('classes')
    path = os.path.join(root or '', str(config.get('ann_file')))
    if isinstance(classes, (list, tuple)) and path.endswith('.json') and os.path.isfile(path):
        # Images without an object of these classes may have been left out.
        check_categories(task, path, classes)
    raise ValueError(f'task {task!r}: no images in {name!r} of {root!r}') from None
