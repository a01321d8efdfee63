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
# Heads that make another thing of the labels, such as a map of edges.
_OWN_TARGETS = ('STDCHead',)
# Heads that tell objects from background, or parts of a scene.
_OTHER_CLASSES = ('rpn_head', 'semantic_head')


def check_classes(task: str, model: Mapping, dataset: Any) -> None:
    """Compares a data set with the head of its task, and its class names with those in its file.

    Args:
        task: what errors call it.
        model: config of the task's upstream model.
        dataset: a built one, which may be put around others.

    Raises:
        ValueError: the data has more classes than the head, or other keypoints; no object is of
            one of its classes; or classes that its file does not have would number the others anew.
    """
    check_head(task, model, getattr(dataset, 'metainfo', {}))
    parts = list(_innermost(dataset))
    # Of several together some may be there for their background alone.
    is_one_for_all = len(parts) == 1
    for part in parts:
        _check_names(task, part, is_one_for_all)
    if not any(_has_objects(part) for part in parts):
        names = ', '.join(_file_of(part) or type(part).__name__ for part in parts)
        raise ValueError(
            f'task {task!r}: no image of {names} has an object of its classes '
            f'{_listed(parts[0].metainfo["classes"])}'
        )


def check_head(task: str, model: Mapping, metainfo: Mapping) -> None:
    """Compares what a data set has with what a head can answer.

    Args:
        task: what errors call it.
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
    _check_keypoints(task, model, metainfo.get('num_keypoints'))


def _check_keypoints(task: str, model: Mapping, keypoints: int | None) -> None:
    head = model.get('head') or {}
    answers = (model.get('test_cfg') or {}).get('output_keypoint_indices')
    # A head that is trained on several data sets' keypoints is evaluated on those of one.
    if keypoints is None or (answers and len(answers) == keypoints):
        return
    decoder = head.get('decoder')
    # Upstream's combined heat maps are three a keypoint: where it is, and both offsets.
    is_combined = isinstance(decoder, Mapping) and decoder.get('heatmap_type') == 'combined'
    for key, times in dict(
        out_channels=3 if is_combined else 1, num_joints=1, num_keypoints=1
    ).items():
        if head.get(key, times * keypoints) != times * keypoints:
            raise ValueError(
                f'task {task!r}: its data has {keypoints} keypoints, head.{key} is {head[key]}'
            )


def check_labels(task: str, trained: Mapping, evaluated: Mapping) -> None:
    """Raises ValueError where a class has other numbers in validation than in training.

    So it is with another order of names, and where upstream numbers the folders that it finds.

    Args:
        task: what errors call it.
        trained, evaluated: meta information of both data sets.
    """
    names = list(trained.get('classes') or ())
    # Some of ImageNet's names are those of two classes.
    known = set(names)
    for i, name in enumerate(evaluated.get('classes') or ()):
        if name in known and names[i : i + 1] != [name]:
            raise ValueError(
                f'task {task!r}: class {name!r} is number {names.index(name)} in the training data '
                f'and {i} in those of validation; set metainfo.classes of both to the same names'
            )


def absent_names(path: str, classes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Which classes are no category of a file in COCO's format, and the categories that it has."""
    with open(path, encoding='utf-8-sig') as file:
        categories = [category['name'] for category in json.load(file)['categories']]
    return [name for name in classes if name not in categories], categories


def check_categories(task: str, path: str, classes: Sequence[str], raises: bool = True) -> None:
    """Raises ValueError where no class is a category of the file, and warns of those that are none.

    Args:
        task: what errors call it.
        path: of a file in COCO's format.
        classes: names that the data set looks for.
        raises: False where this is just warned of as well.
    """
    absent, categories = absent_names(path, classes)
    if raises and len(absent) == len(classes):
        raise ValueError(
            f'task {task!r}: none of its classes {_listed(classes)} is a category of {path}, '
            f'which has {_listed(categories)}; set metainfo.classes of its data sets'
        )
    if absent:
        text = f'task {task!r}: classes {_listed(absent)} are no categories of {path}'
        print_log(text, 'current', logging.WARNING)


def _check_names(task: str, dataset: Any, raises: bool) -> None:
    """Compares the class names of a data set with those in its file.

    Upstream numbers the classes that are there. So one that is not shifts those behind it, and an
    answer of the last number ends an evaluation, after the training.
    """
    classes, path = _classes_of(dataset), _file_of(dataset)
    there = len(getattr(dataset, 'cat_ids', classes))
    if not classes or there >= len(classes) or not osp.isfile(path):
        return
    check_categories(task, path, classes, raises)
    absent, _ = absent_names(path, classes)
    is_shifted = any(name in absent for name in classes[:there])
    if raises and (is_shifted or getattr(dataset, 'test_mode', False)):
        raise ValueError(
            f'task {task!r}: classes {_listed(absent)} are no categories of {path}, and others '
            'would have their numbers; add them to its categories, or set metainfo.classes of '
            'all data sets to those that it has'
        )


def _has_objects(dataset: Any) -> bool:
    """Whether something is of one of its classes, or that is not to be known, or not needed."""
    is_known = _classes_of(dataset) and hasattr(dataset, 'get_data_info')
    if not is_known or getattr(dataset, 'test_mode', False):
        return True
    return any(dataset.get_data_info(i).get('instances', True) for i in range(len(dataset)))


def _classes_of(dataset: Any) -> Sequence[str]:
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    return classes if isinstance(classes, (list, tuple)) else ()


def _file_of(dataset: Any) -> str:
    return getattr(dataset, 'ann_file', '')


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
    # What reads class names as text has no fixed number of them.
    if 'language_model' in config or str(config.get('type')).endswith(_OWN_TARGETS):
        return []
    found = [(path + key, config[key])] if path and isinstance(config.get(key), int) else []
    for name, value in config.items():
        if name.endswith('head') and name not in _OTHER_CLASSES:
            found += _settings(value, key, f'{path}{name}.')
    return found
