"""Which keys of a sample upstream's transforms and metrics work on, as their code says.

A transform takes and gives back one dictionary, ``results``, and upstream declares nowhere which
of its keys it reads or changes. The strings in the code of its class are what is known of that
before a sample is there, of users' own transforms as well.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any

from mmcv.transforms import BaseTransform, LoadAnnotations
from mmengine.dataset import Compose

# Labels that each are of one task of a sample.
OBJECTS = ('gt_bboxes', 'gt_masks', 'gt_keypoints', 'keypoints')
# Where upstream's transforms say how an image has been moved, and what moves with it.
_GEOMETRY = {
    *('img_shape', 'pad_shape', 'scale', 'scale_factor', 'flip', 'flip_direction'),
    *('seg_fields', 'gt_seg_map', *OBJECTS),
}
# mmpretrain's move an image and say so nowhere.
_MOVING = ('Rotate', 'Shear', 'Translate')


def keys_named(thing: Any) -> frozenset[str]:
    """The strings in the code and the settings of a transform or metric, and of what is inside."""
    found: set[str] = set()
    for part in transforms_in(thing):
        found |= keys_of_class(type(part))
        settings = getattr(part, '__dict__', {}).values()
        found.update(value for value in settings if isinstance(value, str))
    return frozenset(found)


def transforms_in(transform: Any) -> Iterator[Any]:
    """A transform and all that it is made of."""
    yield transform
    waiting = list(getattr(transform, '__dict__', {}).values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, (BaseTransform, Compose)):
            yield from transforms_in(value)
        elif isinstance(value, (list, tuple)):
            waiting += value
        elif isinstance(value, Mapping):
            waiting += value.values()


@functools.cache
def keys_of_class(kind: type) -> frozenset[str]:
    """The strings in the code of a class and those that it inherits from, and its attributes."""
    found: set[str] = set()
    for base in kind.__mro__:
        for value in vars(base).values() if base not in (object, BaseTransform) else ():
            if isinstance(value, str):
                found.add(value)
            else:
                found.update(_strings_of(getattr(value, '__func__', value)))
    return frozenset(found)


def _strings_of(function: Any) -> Iterator[str]:
    """Those in a function's code, and in the code of the function that it wraps."""
    function = inspect.unwrap(function)
    if not inspect.isfunction(function):
        return
    yield from _strings(function.__code__)
    # Not all of upstream's decorators say what they wrap.
    for cell in function.__closure__ or ():
        yield from _strings_of(cell.cell_contents)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, CodeType):
        yield from _strings(value.co_consts)
    elif isinstance(value, (tuple, frozenset)):
        for item in value:
            yield from _strings(item)


def changes_image(transform: Any) -> bool:
    """Whether a transform loads, moves or recolours the image.

    All others load, make or pack labels, each task for itself. A class that just reads the image
    says so by an attribute of its own, which is not inherited: ``changes_image = False``.
    """
    said = vars(type(transform)).get('changes_image')
    if said is not None or isinstance(transform, LoadAnnotations):
        return bool(said)
    named = keys_named(transform)
    return 'img' in named and 'data_samples' not in named


@dataclass(frozen=True)
class ImageTransform:
    """A transform that changes the image.

    Attributes:
        named: see ``keys_named``.
        moves: whether labels have to be moved with the image.
    """

    transform: Any
    named: frozenset[str]
    moves: bool

    @classmethod
    def of(cls, transform: Any) -> ImageTransform:
        """What is known of a transform."""
        named = keys_named(transform)
        kinds = [type(part).__name__ for part in transforms_in(transform)]
        moves = bool(named & _GEOMETRY) or any(kind.startswith(_MOVING) for kind in kinds)
        # What loads an image says its shape.
        return cls(transform, named, moves and 'ori_shape' not in named)

    def untreated(self, maps: Iterable[str], objects: Iterable[str]) -> list[str]:
        """The labels of a sample that stay as they are while the image is moved.

        Args:
            maps: keys of dense labels, all listed in ``seg_fields``.
            objects: those of ``OBJECTS``.
        """
        if not self.moves:
            return []
        left = [] if 'seg_fields' in self.named else [m for m in maps if m not in self.named]
        return [*left, *(key for key in objects if key not in self.named)]


def name_of(transform: Any) -> str:
    """Library and class, such as ``mmseg.RandomFlip``."""
    kind = type(transform)
    return f'{kind.__module__.partition(".")[0]}.{kind.__name__}'
