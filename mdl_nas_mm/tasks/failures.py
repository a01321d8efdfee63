"""Says of what fails in upstream's code whose task it was, where in its data, and of which file."""

from __future__ import annotations

import re
import traceback
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import torch
from mmengine.registry import DATASETS as ROOT_DATASETS
from torch import Tensor, nn
from torch.utils.data import Dataset

from mdl_nas_mm.registry import DATASETS
from mdl_nas_mm.utils.one_line import in_one_line

# Files that a message names, of a batch.
_FILES = 4
# Where upstream says how large an image is: as it came, after transforms, with what was padded.
_SIZES = ('ori_shape', 'img_shape', 'pad_shape')
# What upstream says -> what it means.
_MEANINGS = (
    (r'!buf\.empty\(\)', 'the file is empty'),
    (
        r'more than 1 value per channel',
        'batch norm needs more than one value a channel: raise batch_size, or use another norm',
    ),
    (r'to have 3 channels, but got', 'the backbone takes images of three channels'),
    (
        r'to have \d+ channels, but got|mat1 and mat2 shapes cannot be mult|Given normalized_shape',
        'its neck or head is made for other channels than those that it gets: set its in_channels; '
        'of a ViT, whose maps all have one size, a head for a pyramid needs the neck '
        'Feature2Pyramid',
    ),
    (
        r'[Tt]arget -?\d+ is out of bounds|device-side assert',
        "labels may lie beyond the head's num_classes",
    ),
    (r'pixels, its image|channels, a map of labels has one', ''),
    (r'failed to load image: \S+\.npy', 'mdl_nas_mm.LoadSceneImage loads images that are .npy'),
    (r'cannot identify image file|image file is truncated|failed to load image', ''),
    # A key of a config, which is named, or one that it lacks.
    (
        r'__init__\(\) (got an unexpected keyword|missing \d+ required)|is not in the .* registry',
        '',
    ),
)
# A fault in code or in a config: where it is has to be seen.
_UNCLEAR = re.compile(r': (Key|Type|Attribute|Index|Name|Assertion|Runtime|Import)Error: ')


class TaskError(ValueError):
    """Something of a task has failed, in its data or in its model; the cause is what.

    Attributes:
        is_clear: whether the message says enough, without the place in the code.
    """

    def __init__(self, message: str) -> None:
        meaning = next((text for pattern, text in _MEANINGS if re.search(pattern, message)), None)
        super().__init__(f'{message} ({meaning})' if meaning else message)
        self.is_clear = meaning is not None or not _UNCLEAR.search(message)


class SampleError(ValueError):
    """A sample of a data set cannot be had.

    From a worker torch passes it on as text, the worker's traceback, with the message at its end.
    """

    def __str__(self) -> str:
        return super().__str__().rstrip().rpartition(f'{type(self).__name__}: ')[2]


@contextmanager
def in_task(
    task: str, where: str, batch: Mapping | None = None, model: nn.Module | None = None
) -> Generator[None]:
    """Names the task in what fails inside of the block.

    Args:
        task: what errors call it.
        where: such as ``iteration 12``.
        batch: what came from the loader, of which the files are named.
        model: the task's, with whose classes the labels of the batch are compared.

    Raises:
        TaskError: something has failed, other than by what names the task already.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        # A search goes on with fewer images.
        raise type(error)(f'task {task!r}, {where}: {error}') from error
    except Exception as error:
        # That of another task that shares a pass with this one is named already.
        if isinstance(error, TaskError) or f'task {task!r}' in str(error):
            raise
        samples = list(_samples(batch))
        files = _named(path for sample in samples for path in _paths(sample.metainfo))
        place = ', '.join(filter(None, (f'task {task!r}', where, files)))
        # A sample's says first which file it is.
        text = f'{"," if isinstance(error, SampleError) else ":"} {in_one_line(error)}'
        raise TaskError(
            f'{place}{text}{_odd_map(samples) or _label_beyond(samples, model)}'
        ) from error


@contextmanager
def in_images(images: str, where: str) -> Generator[None]:
    """Names an image group in what fails inside of the block, as ``in_task`` does a task.

    Raises:
        TaskError: something has failed.
    """
    try:
        yield
    except TaskError:
        raise
    except Exception as error:
        raise TaskError(f'images {images!r}, {where}: {in_one_line(error)}') from error


@contextmanager
def in_sample(results: Mapping, where: str) -> Generator[None]:
    """Names the files of a sample in what fails inside of the block.

    Args:
        results: what its data set says of it.
        where: what is done with it.

    Raises:
        SampleError: something has failed.
    """
    try:
        yield
    except Exception as error:
        place = ', '.join(filter(None, (_named(_paths(results)), where)))
        raise SampleError(f'{place}: {in_one_line(error)}') from error


def batches_of(task: str, where: str, loader: Iterable) -> Iterator[Any]:
    """A loader's batches, of which a failure names the task, the number and the file.

    Args:
        task: what errors call it.
        where: what is counted, from 0.
        loader: a data loader, or anything else that gives batches.
    """
    batches = iter(loader)
    for number in count():
        with in_task(task, f'{where} {number}'):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


@DATASETS.register_module()
class NamedSamples(Dataset):
    """A data set whose failures say which file it was, and which transform.

    Args:
        dataset: a data set, or the config of one.
    """

    file_refusal = 'is of a training alone'

    def __init__(self, dataset: Any) -> None:
        self.dataset = ROOT_DATASETS.build(dataset) if isinstance(dataset, Mapping) else dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        try:
            return self.dataset[index]
        except SampleError:
            raise
        except Exception as error:
            where = _place(error) or f'sample {index}'
            raise SampleError(f'{where}: {in_one_line(error)}') from error

    def __getattr__(self, name: str) -> Any:
        # It has none while it is copied.
        if name == 'dataset':
            raise AttributeError(name)
        return getattr(self.dataset, name)


def _place(error: BaseException) -> str:
    """The files that the innermost transform was at, and its name."""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        inside, found = frame.f_locals.get('self'), frame.f_locals.get('results')
        if inside is not None and isinstance(found, Mapping) and list(_paths(found)):
            return f'{_named(_paths(found))}, {type(inside).__name__}'
    return ''


def _paths(info: Mapping) -> Iterator[str]:
    """The files that upstream's description of a sample names; its labels' one is the last."""
    for key in sorted(map(str, info)):
        if key.endswith('_path') and isinstance(info[key], str):
            yield info[key]


def _named(paths: Iterable[str]) -> str:
    paths = list(dict.fromkeys(paths))
    more = f' and {len(paths) - _FILES} more' if len(paths) > _FILES else ''
    return f'file {", ".join(paths[:_FILES])}{more}' if paths else ''


def _samples(batch: Any) -> Iterator[Any]:
    """Upstream's data samples in a batch, however nested."""
    if isinstance(batch, Mapping):
        batch = batch.get('data_samples', ())
    for item in batch if isinstance(batch, Sequence) else ():
        if hasattr(item, 'metainfo'):
            yield item
        else:
            yield from _samples(item)


def _odd_map(samples: Sequence[Any]) -> str:
    """Says which sample has a map of labels that is not of its image's size, or has colours."""
    for sample in samples:
        labels = getattr(getattr(sample, 'gt_sem_seg', None), 'data', None)
        info = sample.metainfo
        sizes = [tuple(info[key][:2]) for key in _SIZES if info.get(key)]
        if not isinstance(labels, Tensor) or labels.ndim != 3 or not sizes:
            continue
        *_, path = 'a sample', *_paths(info)
        # Upstream puts one channel first, and leaves three where they are.
        if labels.shape[0] != 1:
            return f'; {path} has {labels.shape[-1]} channels, a map of labels has one'
        height, width = labels.shape[1:]
        if (height, width) not in sizes:
            return (
                f'; {path} has {height} x {width} pixels, its image {sizes[0][0]} x {sizes[0][1]}'
            )
    return ''


def _label_beyond(samples: Sequence[Any], model: nn.Module | None) -> str:
    """Says which sample has a label that no head of the model has a class for."""
    modules = () if model is None else model.modules()
    counts = [count for m in modules if isinstance(count := getattr(m, 'num_classes', 0), int)]
    classes = max(counts, default=0)
    # After an assertion of CUDA nothing can be read there.
    with suppress(RuntimeError):
        for sample in samples if classes else ():
            for labels in _labels(sample):
                beyond = labels[(labels >= classes) & (labels != 255)]
                if len(beyond):
                    *_, path = 'a sample', *_paths(sample.metainfo)
                    return f'; {path} has label {int(beyond.max())}, num_classes is {classes}'
    return ''


def _labels(sample: Any) -> Iterator[Tensor]:
    for value in (
        getattr(sample, 'gt_label', None),
        getattr(getattr(sample, 'gt_sem_seg', None), 'data', None),
        getattr(getattr(sample, 'gt_instances', None), 'labels', None),
    ):
        if isinstance(value, Tensor):
            yield value.flatten()
