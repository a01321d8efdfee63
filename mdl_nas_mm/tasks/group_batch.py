"""A batch of an image group: the same images, with the labels that each task has of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from mdl_nas_mm.utils.private import map_leaves


@dataclass(frozen=True)
class GroupBatch:
    """What the tasks of an image group have of one batch of its images.

    The tensor of an image is the same object in the batches of all tasks that have it.

    Attributes:
        images: how many images the batch has.
        batches: task -> what its own loader would have collated of the images that have its
            label, in their order (``inputs``, ``data_samples``); None where no image has one.
        places: task -> the places of its images among those of the batch, ascending; empty where
            it has none.
    """

    images: int
    batches: Mapping[str, dict | None]
    places: Mapping[str, tuple[int, ...]]

    def pin_memory(self) -> GroupBatch:
        """Asked for by torch's loaders with ``pin_memory``: each image is page-locked once."""
        pinned: dict[int, Tensor] = {}

        def pin(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            if id(value) not in pinned:
                pinned[id(value)] = value.pin_memory()
            return pinned[id(value)]

        return replace(self, batches=map_leaves(pin, dict(self.batches)))
