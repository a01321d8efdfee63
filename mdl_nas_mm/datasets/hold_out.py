"""Sets images of a training set aside, for a search to score on.

The two parts are ordinary annotation files, which upstream's data sets read by ``ann_file``: COCO
JSON (instances and keypoints) for mmdet and mmpose, lines of ``path label`` for mmpretrain, names
of images for mmseg. Nothing is random: images are taken at even distances.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.registry import DATASETS

from mdl_nas_mm.tasks import resolve_joint_config, task_scope
from mdl_nas_mm.tasks.data_files import check_data
from mdl_nas_mm.utils.data_paths import innermost_dataset
from mdl_nas_mm.utils.files import written_whole
from mdl_nas_mm.utils.one_line import in_one_line

COUNTS = 'held_out_images'


class Parts(NamedTuple):
    """Both parts of a training set, as contents of annotation files.

    Attributes:
        search: What is set aside.
        rest: All else, to train on.
        images: How many images each of the two has.
    """

    search: str
    rest: str
    images: tuple[int, int]


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

    ``held_out_images`` of the config says how many images of which tasks are set aside. The two
    files are what it gives each of them as ``ann_file`` of ``search_dataloader.dataset`` and of
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
    counts = {t: n for t, n in (cfg.get(COUNTS) or {}).items() if t in cfg.tasks}
    if not counts:
        raise ValueError(f'the config has no {COUNTS} (task -> images to set aside) of its tasks')
    whole = copy.deepcopy(cfg)
    for task in counts:
        for loader in ('search_dataloader', 'train_dataloader'):
            dataset = innermost_dataset(whole.tasks[task].get(loader) or dict(dataset={}))
            if not dataset.pop('ann_file', None):
                raise ValueError(f'task {task!r}: {loader}.dataset.ann_file, to write, is missing')
    whole = resolve_joint_config(whole, check_files=False)
    named = resolve_joint_config(cfg, check_files=False)
    for task, count in counts.items():
        search, rest = (
            _annotation_file(innermost_dataset(named[loader][task]))
            for loader in ('search_dataloader', 'train_dataloader')
        )
        dataset = whole.train_dataloader[task].dataset
        check_data(dataset, f'task {task!r}, training set')
        try:
            parts = divide(dataset, whole.tasks[task].scope, count)
        except ValueError as error:
            raise ValueError(f'task {task!r}: {error}') from None
        yield HeldOut(task, search, rest, parts.images, _write(search, rest, parts))


def divide(dataset: Mapping, scope: str, count: int) -> Parts:
    """Divides a training set.

    Args:
        dataset: Config of the data set.
        scope: Library that it is of.
        count: Images to set aside.

    Raises:
        ValueError: The data set does not read files of the known formats, or is too small.
        FileNotFoundError: Its annotations or images are not there.
    """
    dataset = innermost_dataset(dict(dataset=dataset))
    if 'datasets' in dataset:
        raise ValueError(f'a {dataset["type"]} is made of several data sets; divide those')
    readers = dict(mmpretrain=_divide_labels, mmseg=_divide_names)
    if scope in readers:
        with task_scope(scope):
            # The images themselves are not read.
            built = DATASETS.build(dict(dataset, pipeline=[], lazy_init=True))
        return readers[scope](built, count)
    path = _annotation_file(dataset)
    if path.suffix != '.json':
        raise ValueError(f'{dataset["type"]}: its ann_file {str(path)!r} is not COCO JSON')
    try:
        # Some editors begin a file with a mark of its byte order.
        content = json.loads(path.read_text(encoding='utf-8-sig'))
        return divide_coco(content, count)
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path} is not COCO JSON ({in_one_line(error)})') from None


def divide_coco(content: Mapping, count: int) -> Parts:
    """Divides the images of COCO's format, in the order of their ids, with their annotations.

    Annotation files of the same images so have the same ones set aside.

    Raises:
        ValueError: There are not more than ``count`` images.
    """
    # Numbers by their size; ids may be names, of all or of some images.
    ids = [image['id'] for image in content['images']]
    ids.sort(key=lambda name: (isinstance(name, str), name))
    if len(set(ids)) < len(ids):
        raise ValueError(f'{len(ids) - len(set(ids))} images have an id that another one has')
    _check_count(count, len(ids))
    chosen = {ids[i] for i in evenly_spaced(len(ids), count)}

    def text(inside: bool) -> str:
        part = {
            **content,
            'images': [x for x in content['images'] if (x['id'] in chosen) == inside],
        }
        # Lists of images alone have none.
        if 'annotations' in content:
            notes = content['annotations']
            part['annotations'] = [x for x in notes if (x['image_id'] in chosen) == inside]
        return json.dumps(part) + '\n'

    return Parts(text(inside=True), text(inside=False), (count, len(ids) - count))


def evenly_spaced(total: int, count: int) -> list[int]:
    """``count`` positions below ``total``, ascending."""
    return [(2 * i + 1) * total // (2 * count) for i in range(count)]


def balanced(labels: Sequence[int], count: int) -> list[int]:
    """Positions of as many images of each class, or one more of some; in each evenly spaced.

    Raises:
        ValueError: A class would have nothing left.
    """
    classes: dict[int, list[int]] = {}
    for position, label in enumerate(labels):
        classes.setdefault(label, []).append(position)
    each, more = divmod(count, len(classes))
    with_more, chosen = set(evenly_spaced(len(classes), more)), []
    for i, (label, positions) in enumerate(sorted(classes.items())):
        wanted = each + (i in with_more)
        if wanted >= len(positions):
            raise ValueError(
                f'{COUNTS} is {count}, {wanted} of class {label}, which has just '
                f'{len(positions)} images; set fewer aside'
            )
        chosen += [positions[j] for j in evenly_spaced(len(positions), wanted)]
    return sorted(chosen)


def _check_count(count: int, total: int) -> None:
    """Raises ValueError unless both parts get something."""
    if not 0 < count < total:
        raise ValueError(f'{COUNTS} is {count}, expected 1 to {total - 1} of {total} images')


def _divide_labels(dataset, count: int) -> Parts:
    """Of mmpretrain's data sets of folders or of a file with labels."""
    from mmpretrain.datasets import CustomDataset

    _check_reads_lists(dataset, CustomDataset)
    samples = dataset.load_data_list()
    _check_count(count, len(samples))
    labels = [sample['gt_label'] for sample in samples]
    prefix = dataset.img_prefix or '.'
    paths = (os.path.relpath(sample['img_path'], prefix) for sample in samples)
    lines = [f'{path} {label}' for path, label in zip(paths, labels)]
    return _divide_lines(lines, balanced(labels, count))


def _divide_names(dataset, count: int) -> Parts:
    """Of mmseg's data sets of folders or of a file with names."""
    from mmseg.datasets import BaseSegDataset

    _check_reads_lists(dataset, BaseSegDataset)
    prefix, suffix = dataset.data_prefix['img_path'], dataset.img_suffix
    paths = [os.path.relpath(sample['img_path'], prefix) for sample in dataset.load_data_list()]
    _check_count(count, len(paths))
    names = [path[: -len(suffix)] for path in paths]
    return _divide_lines(names, evenly_spaced(len(names), count))


def _check_reads_lists(dataset, base: type) -> None:
    """Raises ValueError for a data set that has a way of its own to find its images."""
    if getattr(type(dataset), 'load_data_list', None) is not base.load_data_list:
        raise ValueError(
            f'a {type(dataset).__name__} does not read a list of images by ann_file, as '
            f'{base.__name__} does; what is set aside has to be written by hand'
        )


def _divide_lines(lines: Sequence[str], positions: Sequence[int]) -> Parts:
    chosen = set(positions)
    parts = [[x for i, x in enumerate(lines) if (i in chosen) == part] for part in (True, False)]
    search, rest = ('\n'.join(part) + '\n' for part in parts)
    return Parts(search, rest, (len(parts[0]), len(parts[1])))


def _annotation_file(dataset: Mapping) -> Path:
    if not dataset.get('ann_file'):
        raise ValueError(f'{dataset["type"]} has no ann_file')
    return Path(dataset.get('data_root') or '', dataset['ann_file'])


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
