"""Sets images of a joint config's training sets aside, for a search to score on."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from mdl_nas_mm.tasks import ResolvedConfig, resolve_joint_config
from mdl_nas_mm.tasks.data_files import check_data
from mdl_nas_mm.tasks.image_groups import image_groups
from mdl_nas_mm.utils.data_paths import innermost_dataset
from mdl_nas_mm.utils.files import written_whole

from .training_sets import (
    COUNTS,
    Parts,
    annotation_file,
    divide,
    divide_common_images,
    read_training_set,
)


class HeldOut(NamedTuple):
    """Where the parts of one task's training set are.

    Attributes:
        images: How many images ``search`` and ``rest`` have.
        is_new: Whether a file was written; else both were there already.
    """

    task: str
    search: Path
    rest: Path
    images: tuple[int, int]
    is_new: bool


def hold_out(cfg: Config) -> Iterator[HeldOut]:
    """Divides the training sets of a joint config, and writes the files that it names.

    ``held_out_images`` of the config says how many images of which tasks are set aside; those that
    tasks have in common are divided once, by the name of their images. The two files are what the
    config gives each task as ``ann_file`` of ``search_dataloader.dataset`` and of
    ``train_dataloader.dataset``. What is divided is the training set without the latter: that of
    the config that the task names. The same data give the same files.

    Args:
        cfg: A joint config, not resolved yet; of its data, the training sets have to be there.

    Yields:
        What became of each task, once its files are there.

    Raises:
        ValueError: The config does not say what is needed, a data set does not read such files,
            or it, or one of its classes, has too few images.
        FileExistsError: A file is there with other content.
        FileNotFoundError: A training set is not there.
    """
    groups = _groups(cfg)
    tasks = [task for members in groups.values() for task in members]
    whole = copy.deepcopy(cfg)
    for task in tasks:
        for loader in ('search_dataloader', 'train_dataloader'):
            dataset = innermost_dataset(whole.tasks[task].get(loader) or dict(dataset={}))
            if not dataset.pop('ann_file', None):
                raise ValueError(f'task {task!r}: {loader}.dataset.ann_file, to write, is missing')
    whole = resolve_joint_config(whole, check_files=False)
    named = resolve_joint_config(cfg, check_files=False)
    for name, members in groups.items():
        for task, parts in _divided(whole, name, members, cfg[COUNTS][name]).items():
            search, rest = (
                annotation_file(innermost_dataset(named[loader][task]))
                for loader in ('search_dataloader', 'train_dataloader')
            )
            yield HeldOut(task, search, rest, parts.images, _write(search, rest, parts))


def _groups(cfg: Config) -> dict[str, Sequence[str]]:
    """What is divided: a task by its name, or images by theirs -> the tasks that have them."""
    tasks = cfg.get('tasks') or {}
    together = image_groups(tasks)
    images_of = {task: name for name, members in together.items() for task in members}
    found: dict[str, Sequence[str]] = {}
    counts = cfg.get(COUNTS) or {}
    if not isinstance(counts, Mapping):
        raise ValueError(f'{COUNTS} is {counts!r}, expected task -> images to set aside')
    for name in counts:
        if name in images_of:
            raise ValueError(
                f'{COUNTS}.{name}: task {name!r} has its images in common with others, which are '
                f'divided once; write {images_of[name]}=... for all of them'
            )
        if name in tasks or name in together:
            found[name] = together.get(name, (name,))
    if not found:
        raise ValueError(f'the config has no {COUNTS} (task -> images to set aside) of its tasks')
    return found


def _divided(
    whole: ResolvedConfig, name: str, tasks: Sequence[str], count: int
) -> Mapping[str, Parts]:
    """Task -> the parts of its training set, of a task or of those with the same images."""
    datasets = {task: whole.train_dataloader[task].dataset for task in tasks}
    scopes, sets = {task: whole.tasks[task].scope for task in tasks}, {}
    for task, dataset in datasets.items():
        check_data(dataset, f'task {task!r}, training set')
        try:
            if len(tasks) == 1:
                return {task: divide(dataset, scopes[task], count)}
            sets[task] = read_training_set(dataset, scopes[task])
        except ValueError as error:
            raise ValueError(f'task {task!r}: {error}') from None
    try:
        return divide_common_images(sets, count)
    except ValueError as error:
        raise ValueError(f'images {name!r}: {error}') from None


def _write(search: Path, rest: Path, parts: Parts) -> bool:
    """Writes what is not there yet; returns whether that is anything."""
    if search == rest:
        raise ValueError(f'{str(search)!r} is named for both what is set aside and the rest')
    texts = {search: parts.search, rest: parts.rest}
    missing = [path for path in texts if not path.exists()]
    for path, text in texts.items():
        if path not in missing and path.read_text(encoding='utf-8') != text:
            raise FileExistsError(
                f'{str(path)!r} is there with other content; remove it, or name another ann_file'
            )
    for path in missing:
        with written_whole(path) as temporary:
            temporary.write_text(texts[path], encoding='utf-8')
    return bool(missing)
