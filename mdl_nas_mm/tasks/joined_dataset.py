"""The data sets of an image group's tasks as one: images once, each with the labels it has."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from .merged_pipeline import MergedPipeline

# Images of which upstream's data sets try another one, before they give up.
_TRIES = 1000


class JoinedDataset(Dataset):
    """The images of several data sets, told apart by their files.

    They are those of the first data set in its order, then those that only later ones have. An
    image that a task's data set does not list has no label of that task.

    Args:
        images: name of the group.
        datasets: task -> its data set, built without a pipeline.
        pipeline: what loads an image and its labels.
        is_test: whether each image has to be there; in training another takes the place of one
            that the pipeline gives up.

    Attributes:
        rows: (images, tasks), the number of an image in each task's data set; -1 where it is not.

    Raises:
        ValueError: a data set has no files of images, or one of them twice, or none in common
            with the others.
        FileNotFoundError: files of labels are not there.
    """

    def __init__(
        self,
        images: str,
        datasets: Mapping[str, Any],
        pipeline: MergedPipeline,
        is_test: bool = False,
    ) -> None:
        self.images, self.datasets, self.pipeline = images, dict(datasets), pipeline
        self.is_test = is_test
        files = {task: _files_of(task, dataset) for task, dataset in self.datasets.items()}
        _check_common(images, files)
        numbers = {path: i for i, path in enumerate(dict.fromkeys(_chain(files.values())))}
        self.rows = np.full((len(numbers), len(files)), -1)
        for column, of_task in enumerate(files.values()):
            for row, path in enumerate(of_task):
                self.rows[numbers[path], column] = row

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, dict]:
        """Task -> what its own pipeline would give, of tasks that have a label of the image."""
        for _ in range(1 if self.is_test else _TRIES):
            found = self.pipeline(self.infos(index))
            if found is not None:
                return found
            index = np.random.randint(len(self))
        raise ValueError('the pipeline gives up the image')

    def infos(self, index: int) -> dict[str, dict]:
        """Task -> what its data set says of an image; nothing is read for it."""
        listed = zip(self.datasets.items(), self.rows[index].tolist())
        return {task: dataset[row] for (task, dataset), row in listed if row >= 0}

    def get_data_info(self, index: int) -> dict:
        """What is known of an image, for samplers that group images by their sizes."""
        return {k: v for info in reversed(self.infos(index).values()) for k, v in info.items()}

    def labelled(self, task: str) -> int:
        """How many images have a label of a task."""
        return int((self.rows[:, list(self.datasets).index(task)] >= 0).sum())

    def first_of_each_kind(self) -> list[int]:
        """The first image of each set of tasks that have a label."""
        return sorted(np.unique(self.rows >= 0, axis=0, return_index=True)[1].tolist())

    def __str__(self) -> str:
        labels = ', '.join(f'{self.labelled(task)} of {task}' for task in self.datasets)
        return f'images {self.images!r}: {len(self)}, with labels: {labels}'


def _files_of(task: str, dataset: Any) -> list[str]:
    """The image files of a data set, in its order; its label files are looked for."""
    files, labels = [], {}
    for row in range(len(dataset)):
        info = dataset[row]
        path = info.get('img_path') if isinstance(info, Mapping) else None
        if not isinstance(path, str):
            raise ValueError(
                f'task {task!r}: {type(dataset).__name__} names no files of images, by which those '
                'of several tasks are joined; remove images of the task'
            )
        files.append(_plain(path))
        for key, value in info.items():
            if key.endswith('_path') and key != 'img_path' and isinstance(value, str):
                labels.setdefault(os.path.dirname(value), []).append(os.path.basename(value))
    _check_once(task, files)
    for folder, names in labels.items():
        _check_labels(task, folder, names)
    return files


def _plain(path: str) -> str:
    return path if '://' in path else os.path.abspath(path)


def _check_once(task: str, files: Sequence[str]) -> None:
    if len(set(files)) < len(files):
        seen: set[str] = set()
        twice = next(path for path in files if path in seen or seen.add(path))
        raise ValueError(
            f'task {task!r}: its data set has {twice} more than once; tasks with the same images '
            'have each of them once'
        )


def _check_labels(task: str, folder: str, names: Sequence[str]) -> None:
    """Raises FileNotFoundError for a folder that lacks labels."""
    if '://' in folder:
        return
    there = set(os.listdir(folder or '.')) if os.path.isdir(folder or '.') else set()
    lacking = [name for name in names if name not in there]
    if lacking:
        raise FileNotFoundError(
            f'task {task!r}: {folder} lacks {len(lacking)} of {len(names)} labels, the first is '
            f'{lacking[0]}; a data set may leave out images without a label, by its ann_file'
        )


def _check_common(images: str, files: Mapping[str, Sequence[str]]) -> None:
    """Raises ValueError for a task that has no image of any other."""
    for task, own in files.items():
        others = {path for other, theirs in files.items() if other != task for path in theirs}
        if others.isdisjoint(own):
            raise ValueError(
                f'images {images!r}: task {task!r} has no image in common with the others, such '
                f'as {own[0]} and {min(others)}; remove its images, or correct its data_root'
            )


def _chain(lists: Iterable[Sequence[str]]) -> list[str]:
    return [path for paths in lists for path in paths]
