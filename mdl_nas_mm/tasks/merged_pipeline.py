"""One pipeline for all tasks of an image group: the image once, and every label through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from .failures import in_sample
from .pipelines import Stage
from .transform_keys import OBJECTS, ImageTransform, name_of

# What a transform of the image says of it, and no other may change.
_OF_IMAGE = ('img_shape', 'ori_shape', 'pad_shape', 'scale_factor', 'flip', 'flip_direction')
_MISSING = object()


class MergedPipeline:
    """Runs what changes the image once, with the labels of all tasks, and the rest by task.

    Args:
        stages: see ``merged_stages``.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = stages

    def __call__(self, infos: Mapping[str, dict]) -> dict[str, dict] | None:
        """Loads an image and its labels.

        Args:
            infos: task -> what its data set says of the image, of tasks that have a label of it.

        Returns:
            Task -> what its own pipeline would have given, ``inputs`` being the same tensor in
            all. Tasks whose own transforms give up the image are left out; None where a
            transform of the image does, or all tasks do.

        Raises:
            SampleError: a transform fails, a transform of a single task changes the image, or one
                of the image leaves a label as it is; names the files, the transform and the task.
        """
        views = _Views(infos)
        for stage in self.stages:
            for task in infos:
                for transform in stage.own[task]:
                    if task in views.own:
                        views.apply_own(task, transform)
            if not views.own or (stage.common is not None and not views.apply(stage.common)):
                return None
        return views.packed()


class _Views:
    """An image on its way: what all tasks have alike, and what each has for itself.

    Attributes:
        shared: the image, and what has been done to it.
        own: task -> its labels, and all else that its data set says.
    """

    def __init__(self, infos: Mapping[str, dict]) -> None:
        self.shared: dict[str, Any] = {}
        self.own = {task: dict(info) for task, info in infos.items()}
        self._files = {f'{t} {key}': info[key] for t, info in infos.items() for key in info}

    def apply_own(self, task: str, transform: Any) -> None:
        """A task's transform of its labels; the task is gone where it gives up the image."""
        before = {**self.shared, **self.own[task]}
        with in_sample(before, f'task {task!r}, {name_of(transform)}'):
            found = transform(dict(before))
            if found is None:
                del self.own[task]
                return
            self._check_image(found)
            own = {k: v for k, v in found.items() if v is not self.shared.get(k, _MISSING)}
            for key in _maps(own):
                if own[key] is not before.get(key):
                    self._check_size(own[key], self.shared.get('ori_shape'))
            self.own[task] = own

    def apply(self, common: ImageTransform) -> bool:
        """A transform of the image, with all labels; False where it gives up the image."""
        before, places = self._merged()
        with in_sample(self._files, name_of(common.transform)):
            self._check_labels(common, before, places)
            try:
                found = common.transform(dict(before))
            except KeyError as error:
                raise ValueError(
                    f'it needs {error}, and no task has that of this image; change its settings '
                    '(RandomCrop: cat_max_ratio), or leave out images without it'
                ) from error
            if found is None:
                return False
            for name in {**before, **found}:
                if found.get(name, _MISSING) is not before.get(name, _MISSING):
                    self._put(name, places.get(name, ()), found)
        return True

    def packed(self) -> dict[str, dict]:
        """What the tasks' last transforms gave, with one tensor of the image."""
        (first, packed), *others = self.own.items()
        for task, theirs in others:
            with in_sample(self._files, f'tasks {first!r} and {task!r}'):
                if not _same(packed.get('inputs'), theirs.get('inputs')):
                    raise ValueError('they pack the image differently')
            theirs['inputs'] = packed['inputs']
        return self.own

    def _merged(self) -> tuple[dict[str, Any], dict[str, list[tuple[str, str]]]]:
        """All in one dictionary, and by its keys the tasks and keys that they come from.

        Maps are all in it, those that several tasks have under one key by names of their own; of
        what else is so it has the first one's.
        """
        merged, places, maps = dict(self.shared), {}, []
        for task, own in self.own.items():
            own_maps = _maps(own)
            for key in own:
                name = key
                if key in own_maps:
                    name = f'{key}.{task}' if key in places else key
                    maps.append(name)
                if name not in places:
                    merged[name] = own[key]
                places.setdefault(name, []).append((task, key))
        # The list of each task stays as it is.
        places.pop('seg_fields', None)
        merged['seg_fields'] = maps
        return merged, places

    def _put(self, name: str, places: Sequence[tuple[str, str]], found: Mapping) -> None:
        """Takes over what a transform of the image has changed, made or removed."""
        if len(places) == 1:
            ((task, key),) = places
            target = self.own[task]
        else:
            # What several tasks say alike is of the image from now on.
            said = [self.own[task].pop(key) for task, key in places]
            if not all(_equal(value, said[0]) for value in said):
                (first, _), (second, _), *_ = places
                raise ValueError(f'tasks {first!r} and {second!r} each have their {name}')
            target, key = self.shared, name
        if name in found:
            target[key] = found[name]
        else:
            target.pop(key, None)

    def _check_labels(self, common: ImageTransform, merged: Mapping, places: Mapping) -> None:
        """Raises ValueError for a label that is not moved with the image, or not of its size."""
        objects = [key for key in OBJECTS if key in places]
        for key in objects:
            tasks = [task for task, _ in places[key]]
            if len(tasks) > 1:
                raise ValueError(
                    f'tasks {tasks[0]!r} and {tasks[1]!r} both have {key}; one task of an image '
                    'group may have objects, give another one images of its own'
                )
        maps = merged['seg_fields']
        for name in common.untreated(maps, objects):
            ((task, key),) = places[name]
            raise ValueError(
                f'task {task!r}: {key} would stay as it is while the image is moved; use a '
                'transform of the image that knows it, such as mmseg.Resize, mmseg.RandomFlip or '
                'mmseg.RandomCrop for all maps, those of mmdet for objects and one gt_seg_map'
            )
        for name in maps if common.moves else ():
            self._check_size(merged[name])

    def _check_image(self, found: Mapping) -> None:
        """Raises ValueError where a task's own transform has changed the image for itself."""
        changed = [
            key
            for key in _OF_IMAGE
            if key in found and not _equal(found[key], self.shared.get(key, found[key]))
        ]
        image = self.shared.get('img')
        if changed or found.get('img', image) is not image:
            raise ValueError(
                f'it changes {", ".join(changed) or "the image"}, which the tasks have in common; '
                'give it to all of them, or give this task images of its own'
            )

    def _check_size(self, label: np.ndarray, original: tuple[int, ...] | None = None) -> None:
        """Raises ValueError for a map that is not of the size of its image."""
        size = getattr(self.shared.get('img'), 'shape', label.shape)[:2]
        if label.shape[:2] not in (size, original and tuple(original[:2])):
            (height, width), (rows, columns) = label.shape[:2], size
            raise ValueError(
                f'the label is {height} x {width} pixels, its image {rows} x {columns}'
            )


def _maps(own: Mapping) -> list[str]:
    """The dense labels of a task."""
    named = dict.fromkeys((*own.get('seg_fields', ()), 'gt_seg_map'))
    return [key for key in named if key in own]


def _equal(first: Any, second: Any) -> bool:
    return first is second or np.array_equal(first, second)


def _same(first: Any, second: Any) -> bool:
    both = isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor)
    return both and first.dtype == second.dtype and torch.equal(first, second)
