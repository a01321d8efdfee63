"""Training sets as lists of images that can be divided in two.

Both parts are ordinary annotation files, which upstream's data sets read by ``ann_file``: COCO JSON
(instances and keypoints) for mmdet and mmpose, lines of ``path label`` for mmpretrain, names of
images for mmseg and for scenes. Nothing is random: images are taken at even distances.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.registry import DATASETS

from mdl_nas_mm.scenes.datasets import SceneDataset
from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.utils.data_paths import innermost_dataset
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


@dataclass(frozen=True)
class TrainingSet:
    """What of a training set is needed to divide it.

    Attributes:
        files: Of its images, by which tasks know that they have the same.
        choose: How many -> numbers of the images to set aside, where it is divided by itself.
        text: Numbers of images -> the annotation file of these.
    """

    files: Sequence[str]
    choose: Callable[[int], list[int]]
    text: Callable[[Sequence[int]], str]

    def divided(self, chosen: Iterable[int]) -> Parts:
        """Both parts, of which the first has the chosen images."""
        inside = set(chosen)
        numbers = [[i for i in range(len(self.files)) if (i in inside) == s] for s in (True, False)]
        search, rest = map(self.text, numbers)
        return Parts(search, rest, (len(numbers[0]), len(numbers[1])))


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
    whole = read_training_set(dataset, scope)
    _check_count(count, len(whole.files))
    return whole.divided(whole.choose(count))


def divide_common_images(sets: Mapping[str, TrainingSet], count: int) -> dict[str, Parts]:
    """Divides the images that tasks have in common, so that none is in both parts of any two.

    They are those of all tasks, in the order of an image group.

    Raises:
        ValueError: There are not more than ``count`` images, or a task has a label of none, or of
            all, of those that are set aside.
    """
    files = list(dict.fromkeys(file for each in sets.values() for file in each.files))
    _check_count(count, len(files))
    chosen = {files[i] for i in evenly_spaced(len(files), count)}
    found = {}
    for task, each in sets.items():
        found[task] = each.divided(i for i, file in enumerate(each.files) if file in chosen)
        if not all(found[task].images):
            raise ValueError(
                f'task {task!r}: of the {count} images that are set aside it has a label of '
                f'{found[task].images[0]}, of all others of {found[task].images[1]}'
            )
    return found


def read_training_set(dataset: Mapping, scope: str) -> TrainingSet:
    """What of an upstream training set is needed to divide it; see ``divide``."""
    dataset = innermost_dataset(dict(dataset=dataset))
    if 'datasets' in dataset:
        raise ValueError(f'a {dataset["type"]} is made of several data sets; divide those')
    readers = dict(mmpretrain=_of_labels, mmseg=_of_names)
    if scope in readers:
        with task_scope(scope):
            # The images themselves are not read.
            built = DATASETS.build(dict(dataset, pipeline=[], lazy_init=True))
        return readers[scope](built)
    path = annotation_file(dataset)
    if path.suffix != '.json':
        raise ValueError(f'{dataset["type"]}: its ann_file {str(path)!r} is not COCO JSON')
    folder = os.path.join(
        dataset.get('data_root') or '', (dataset.get('data_prefix') or {}).get('img', '')
    )
    try:
        # Some editors begin a file with a mark of its byte order.
        return _coco(json.loads(path.read_text(encoding='utf-8-sig')), folder)
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path} is not COCO JSON ({in_one_line(error)})') from None


def annotation_file(dataset: Mapping) -> Path:
    """The ``ann_file`` of a data set's config.

    Raises:
        ValueError: It has none.
    """
    if not dataset.get('ann_file'):
        raise ValueError(f'{dataset["type"]} has no ann_file')
    return Path(dataset.get('data_root') or '', dataset['ann_file'])


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
    if not isinstance(count, int) or not 0 < count < total:
        raise ValueError(f'{COUNTS} is {count}, expected 1 to {total - 1} of {total} images')


def _coco(content: Mapping, folder: str = '') -> TrainingSet:
    # Numbers by their size; ids may be names, of all or of some images.
    images = {image['id']: image for image in content['images']}
    ids = sorted(images, key=lambda name: (isinstance(name, str), name))
    if len(ids) < len(content['images']):
        twice = len(content['images']) - len(ids)
        raise ValueError(f'{twice} images have an id that another one has')

    def text(numbers: Sequence[int]) -> str:
        chosen = {ids[i] for i in numbers}
        part = {**content, 'images': [x for x in content['images'] if x['id'] in chosen]}
        # Lists of images alone have none.
        if 'annotations' in content:
            notes = content['annotations']
            part['annotations'] = [x for x in notes if x['image_id'] in chosen]
        return json.dumps(part) + '\n'

    files = [_file(os.path.join(folder, images[i].get('file_name', str(i)))) for i in ids]
    return TrainingSet(files, lambda count: evenly_spaced(len(ids), count), text)


def _of_labels(dataset: Any) -> TrainingSet:
    """Of mmpretrain's data sets of folders or of a file with labels."""
    from mmpretrain.datasets import CustomDataset

    _check_reads_lists(dataset, CustomDataset)
    samples = dataset.load_data_list()
    labels = [sample['gt_label'] for sample in samples]
    files = [sample['img_path'] for sample in samples]
    paths = (os.path.relpath(path, dataset.img_prefix or '.') for path in files)
    lines = [f'{path} {label}' for path, label in zip(paths, labels)]
    return _of_lines(files, lines, lambda count: balanced(labels, count))


def _of_names(dataset: Any) -> TrainingSet:
    """Of mmseg's data sets of folders or of a file with names, and of scenes."""
    from mmseg.datasets import BaseSegDataset

    if isinstance(dataset, SceneDataset):
        files = [sample['img_path'] for sample in dataset.load_data_list()]
        names = list(map(dataset.name_of, files))
    else:
        _check_reads_lists(dataset, BaseSegDataset)
        prefix, suffix = dataset.data_prefix['img_path'], dataset.img_suffix
        files = [sample['img_path'] for sample in dataset.load_data_list()]
        names = [os.path.relpath(path, prefix)[: -len(suffix)] for path in files]
    return _of_lines(files, names, lambda count: evenly_spaced(len(names), count))


def _of_lines(
    files: Sequence[str], lines: Sequence[str], choose: Callable[[int], list[int]]
) -> TrainingSet:
    def text(numbers: Sequence[int]) -> str:
        return '\n'.join(lines[i] for i in numbers) + '\n'

    return TrainingSet(list(map(_file, files)), choose, text)


def _file(path: str) -> str:
    return path if '://' in path else os.path.abspath(path)


def _check_reads_lists(dataset: Any, base: type) -> None:
    """Raises ValueError for a data set that has a way of its own to find its images."""
    if getattr(type(dataset), 'load_data_list', None) is not base.load_data_list:
        raise ValueError(
            f'a {type(dataset).__name__} does not read a list of images by ann_file, as '
            f'{base.__name__} does; what is set aside has to be written by hand'
        )
