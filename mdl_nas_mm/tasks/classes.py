"""Compares the classes of a task's data with what its head can answer, and with its files."""

from __future__ import annotations

import json
import logging
import os.path as osp
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.logging import print_log

# Names that a message lists.
_NAMES = 10


def check_classes(task: str, model: Mapping, dataset: Any) -> None:
    """Compares a data set with the head of its task, and its class names with those in its file.

    Args:
        model: config of the task's upstream model.
        dataset: a built one, which may be put around others.

    Raises:
        ValueError: the data has more classes than the head, or other keypoints; or no object is
            of one of its classes.
    """
    check_head(task, model, getattr(dataset, 'metainfo', {}))
    for part in _innermost(dataset):
        _check_names(task, part)


def check_head(task: str, model: Mapping, metainfo: Mapping) -> None:
    """Compares what a data set has with what a head can answer.

    Args:
        model: config of the task's upstream model.
        metainfo: the data set's.

    Raises:
        ValueError: the data has more classes than the head, or other keypoints.
    """
    classes = metainfo.get('classes') or metainfo.get('CLASSES')
    counts = {len(classes)} if isinstance(classes, (list, tuple)) else set()
    # Heads for objects do not see what else a picture is divided into.
    counts |= {len(metainfo['thing_classes'])} if metainfo.get('thing_classes') else set()
    for name, value in _settings(model, 'num_classes'):
        if counts and value < min(counts) and not _is_binary(model, value, counts):
            raise ValueError(
                f'task {task!r}: its data has {min(counts)} classes, {name} is {value}'
            )
        if counts and value > max(counts):
            text = f'task {task!r}: its data has just {max(counts)} classes, {name} is {value}'
            print_log(text, 'current', logging.WARNING)
    keypoints = metainfo.get('num_keypoints')
    head = model.get('head') or {}
    for key in ('out_channels', 'num_joints', 'num_keypoints'):
        if keypoints is not None and head.get(key, keypoints) != keypoints:
            raise ValueError(
                f'task {task!r}: its data has {keypoints} keypoints, head.{key} is {head[key]}'
            )


def absent_names(path: str, classes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Which classes are no category of a file in COCO's format, and the categories that it has."""
    with open(path, encoding='utf-8-sig') as file:
        categories = [category['name'] for category in json.load(file)['categories']]
    return [name for name in classes if name not in categories], categories


def check_file(task: str, path: str, classes: Sequence[str]) -> None:
    """Raises ValueError where no class is a category of the file, and warns of those that are none.

    Args:
        path: of a file in COCO's format.
    """
    absent, categories = absent_names(path, classes)
    if len(absent) == len(classes):
        raise ValueError(
            f'task {task!r}: none of its classes {_listed(classes)} is a category of {path}, '
            f'which has {_listed(categories)}; set metainfo.classes of its data sets'
        )
    if absent:
        text = f'task {task!r}: classes {_listed(absent)} are no categories of {path}'
        print_log(text, 'current', logging.WARNING)


def _check_names(task: str, dataset: Any) -> None:
    """Raises ValueError for a data set of which no object is of one of its classes."""
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    if not isinstance(classes, (list, tuple)) or not hasattr(dataset, 'get_data_info'):
        return
    path = getattr(dataset, 'ann_file', '')
    if len(getattr(dataset, 'cat_ids', classes)) < len(classes) and osp.isfile(path):
        check_file(task, path, classes)
    if getattr(dataset, 'test_mode', False):
        return
    for index in range(len(dataset)):
        if dataset.get_data_info(index).get('instances', True):
            return
    raise ValueError(
        f'task {task!r}: no image of {path or type(dataset).__name__} has an object of its classes '
        f'{_listed(classes)}'
    )


def _listed(names: Sequence[str]) -> str:
    more = f' and {len(names) - _NAMES} more' if len(names) > _NAMES else ''
    return f'({", ".join(map(str, names[:_NAMES]))}{more})'


def _innermost(dataset: Any) -> Iterator[Any]:
    """The data sets themselves, inside of what is put around them."""
    if hasattr(dataset, 'datasets'):
        for part in dataset.datasets:
            yield from _innermost(part)
    elif hasattr(dataset, 'dataset'):
        yield from _innermost(dataset.dataset)
    else:
        yield dataset


def _is_binary(model: Mapping, value: int, counts: set[int]) -> bool:
    """Whether it is a segmentor with one channel for two classes."""
    return 'decode_head' in model and value == 1 and counts == {2}


def _settings(config: Any, key: str, path: str = '') -> list[tuple[str, int]]:
    """Where a key of a model's heads stands, and its value."""
    if isinstance(config, (list, tuple)):
        return [found for item in config for found in _settings(item, key, path)]
    if not isinstance(config, Mapping) or config.get('class_agnostic'):
        return []
    found = [(path + key, config[key])] if path and isinstance(config.get(key), int) else []
    for name, value in config.items():
        if name.endswith('head') and name != 'rpn_head':
            found += _settings(value, key, f'{path}{name}.')
    return found
