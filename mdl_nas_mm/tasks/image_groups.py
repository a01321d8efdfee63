"""Which tasks of a joint config have their images in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def image_groups(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Tasks by what they say as ``images``, in the order of their names.

    Their images are loaded once, and an image has a label of each task whose data set lists it.
    A name that a single task has means nothing.

    Args:
        tasks: as in a joint config, resolved or not.
    """
    groups: dict[str, tuple[str, ...]] = {}
    for name in sorted(tasks):
        task = tasks[name]
        if task.get('images') is not None:
            groups[task['images']] = (*groups.get(task['images'], ()), name)
    return {name: members for name, members in groups.items() if len(members) > 1}


def check_image_names(tasks: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises ValueError for a name of images that none can have."""
    for name, task in tasks.items():
        images = task.get('images')
        if images is None:
            continue
        if not isinstance(images, str) or not images.isidentifier():
            raise ValueError(
                f'task {name!r}: images is {images!r}; a name is letters, digits and underscores'
            )
        if images in tasks:
            raise ValueError(
                f'task {name!r}: images is {images!r}, the name of a task; give the images another'
            )
