"""The pipelines of an image group's tasks, compared: what changes the image is the same in all."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from mmengine.registry import TRANSFORMS

from mdl_nas_mm.utils.registries import LIBRARIES

from .scope import task_scope
from .transform_keys import ImageTransform, changes_image, name_of, transforms_in

_LIBRARIES = (*LIBRARIES, 'mmcv', 'mmengine', 'mdl_nas_mm')


@dataclass(frozen=True)
class Transform:
    """One transform of a task's pipeline.

    Attributes:
        config: as the task says it.
        built: the transform itself, of the task's library.
        is_common: whether it changes the image, which is then done once for all tasks.
    """

    config: Mapping[str, Any]
    built: Any
    is_common: bool


@dataclass(frozen=True)
class Stage:
    """What each task does with labels of its own, and then one transform of the image for all.

    Attributes:
        own: task -> its transforms; they leave the image as it is.
        common: None at the end of the pipelines.
    """

    own: Mapping[str, Sequence[Any]]
    common: ImageTransform | None


def build_transforms(scope: str, pipeline: Sequence[Mapping]) -> list[Transform]:
    """A task's pipeline, built as its library builds it."""
    with task_scope(scope):
        built = [TRANSFORMS.build(dict(config)) for config in pipeline]
    return [Transform(c, b, changes_image(b)) for c, b in zip(pipeline, built)]


def merged_stages(
    images: str, pipelines: Mapping[str, Sequence[Transform]], split: str = 'train'
) -> list[Stage]:
    """The pipelines of all tasks as one.

    Args:
        images: name of the group.
        pipelines: task -> its pipeline.
        split: of which the pipelines are, for messages.

    Raises:
        ValueError: what changes the image is not the same in all tasks; names both and what.
    """
    parts = {task: list(_parts(pipeline)) for task, pipeline in pipelines.items()}
    (first, usual), *others = parts.items()
    for task, theirs in others:
        for (_, one), (_, other) in zip_longest(usual, theirs, fillvalue=((), None)):
            text = _difference(first, one, task, other)
            if text is not None:
                raise ValueError(
                    f'images {images!r}, {split} pipelines: {text}; what changes the image has to '
                    'be the same in all of its tasks'
                )
    return [
        Stage(
            {task: [t.built for t in steps[i][0]] for task, steps in parts.items()},
            None if common is None else ImageTransform.of(common.built),
        )
        for i, (_, common) in enumerate(usual)
    ]


def _parts(pipeline: Sequence[Transform]) -> Iterator[tuple[list[Transform], Transform | None]]:
    """Own transforms and the common one behind them; the last have none."""
    own: list[Transform] = []
    for transform in pipeline:
        if transform.is_common:
            yield own, transform
            own = []
        else:
            own.append(transform)
    yield own, None


def _difference(
    task: str, first: Transform | None, other_task: str, second: Transform | None
) -> str | None:
    """Says in what two tasks' transforms differ; None where they are alike."""
    if first is None:
        return None if second is None else _difference(other_task, second, task, None)
    if second is None:
        return f'task {task!r} has {name_of(first.built)}, which task {other_task!r} has not'
    names = [[name_of(part) for part in transforms_in(t.built)] for t in (first, second)]
    if names[0][0] != names[1][0]:
        return f'task {task!r} has {names[0][0]} where task {other_task!r} has {names[1][0]}'
    settings = [_settings(transform) for transform in (first, second)]
    for key in dict.fromkeys((*settings[0], *settings[1])):
        values = [said.get(key) for said in settings]
        if _plain(values[0]) != _plain(values[1]):
            return (
                f'{names[0][0]} of task {task!r} has {key}={values[0]!r}, that of task '
                f'{other_task!r} {key}={values[1]!r}'
            )
    if names[0] != names[1]:
        inside = [', '.join(found[1:]) for found in names]
        return (
            f'{names[0][0]} of task {task!r} is made of {inside[0]}, that of task '
            f'{other_task!r} of {inside[1]}'
        )
    return None


def _settings(transform: Transform) -> dict[str, Any]:
    """A transform's arguments, those that its config leaves out among them."""
    parameters = inspect.signature(type(transform.built)).parameters.values()
    usual = {p.name: p.default for p in parameters if p.default is not p.empty}
    return {**usual, **{key: v for key, v in transform.config.items() if key != 'type'}}


def _plain(value: Any) -> Any:
    """A value without what makes no difference: lists for tuples, and a library in a name."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, str) and value.partition('.')[0] in _LIBRARIES:
        return value.rpartition('.')[2]
    return value
