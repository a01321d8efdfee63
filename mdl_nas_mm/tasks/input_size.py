"""The size of a task's images, as a data pipeline says it."""

from __future__ import annotations

from collections.abc import Mapping

from mdl_nas_mm.utils.data_paths import prepared_dataset


def input_size(dataloader: Mapping) -> tuple[int, int] | None:
    """(height, width) of a pipeline's images, from its last resizing; None if no step says one."""
    size = None
    for step in prepared_dataset(dataloader).get('pipeline', ()):
        # (width, height), but a single number for both; crops of mmpretrain are square.
        value = step.get('crop_size') or step.get('scale') or step.get('input_size')
        if isinstance(value, int):
            size = (value, value)
        elif isinstance(value, (tuple, list)) and all(isinstance(n, int) for n in value):
            size = (value[1], value[0])
    return size if size is None or min(size) > 0 else None


def validation_size(dataloader: Mapping, task: str) -> tuple[int, int]:
    """The ``input_size`` of a validation pipeline.

    Raises:
        ValueError: no step of the pipeline says it.
    """
    size = input_size(dataloader)
    if size is None:
        raise ValueError(
            f'task {task!r}: its validation pipeline takes images of any size; say which to count '
            'for, by --input-size on the command line, input_size in search_cfg, or sizes in Python'
        )
    return size
