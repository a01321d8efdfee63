"""Whether a deposit is whole, and whether its tasks answer as they did."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.tasks.input_size import input_size

from .unpack import Deposit


def verify(path: str | Path, trust: Collection[str] = ()) -> dict[str, bool]:
    """Compares every tensor with its hash, and all sizes with the architectures.

    Args:
        path: the deposit.
        trust: see ``Deposit``.

    Returns:
        Tensor -> whether it is there and undamaged. Where all are, they also fit together.

    Raises:
        FileNotFoundError, ValueError: see ``Deposit``.
    """
    deposit = Deposit(path, trust)
    whole = {name: deposit.is_whole(name) for name in deposit.names()}
    if all(whole.values()):
        for task in deposit.tasks:
            deposit.run_weights(task)
            deposit.build_model(task, nn.Identity())
    return whole


@torch.no_grad()
def largest_differences(
    before: str | Path,
    after: str | Path,
    images: Sequence[np.ndarray] = (),
    trust: Collection[str] = (),
) -> dict[str, float]:
    """How far each task's raw answers in one file are from those in a later one.

    Args:
        before: a deposit; each of its tasks has to be in the later one.
        after: the later deposit.
        images: (height, width, 3), uint8, BGR; without any, two of noise.
        trust: see ``Deposit``.

    Returns:
        Task -> the largest absolute difference of any element of what its model puts out before
        any decoding, over all images. Infinite where shapes differ, or something is not a number
        in just one of them.

    Raises:
        FileNotFoundError, ValueError: see ``Deposit.load_task``.
    """
    old, new = Deposit(before, trust), Deposit(after, trust)
    for task in old.tasks:
        new.check_task(task)
    found = {}
    for task, info in old.tasks.items():
        models = [deposit.load_task(task) for deposit in (old, new)]
        found[task] = 0.0
        for image in images or _noise(info, models[0].backbone.shape.in_channels):
            with task_scope(info['scope']):
                answers = [list(_tensors(_answer(model, image))) for model in models]
            found[task] = max(found[task], _difference(*answers))
    return found


def _noise(info: dict, channels: int) -> list[np.ndarray]:
    """Images of random pixels, where it is known of the size that a task is validated with."""
    generator = np.random.default_rng(0)
    loader = info.get('val_dataloader')
    height, width = (input_size(loader) if loader is not None else None) or (224, 224)
    return [generator.integers(0, 256, (height, width, channels), np.uint8) for _ in range(2)]


def _answer(model: BaseModel, image: np.ndarray) -> Any:
    size = image.shape[:2]
    sample = BaseDataElement(
        metainfo=dict(img_shape=size, ori_shape=size, pad_shape=size, scale_factor=(1.0, 1.0))
    )
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    data = model.data_preprocessor(dict(inputs=[pixels], data_samples=[sample]), False)
    return model(data['inputs'], data['data_samples'], mode='tensor')


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors of nested upstream data."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, BaseDataElement):
        yield from _tensors(dict(value.all_items()))
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def _difference(first: list[Tensor], second: list[Tensor]) -> float:
    if [tensor.shape for tensor in first] != [tensor.shape for tensor in second]:
        return float('inf')
    largest = 0.0
    for a, b in zip(first, second):
        a, b = a.double(), b.double()
        apart = torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, (a - b).abs())
        if apart.numel():
            largest = max(largest, apart.nan_to_num(float('inf'), float('inf')).max().item())
    return largest
