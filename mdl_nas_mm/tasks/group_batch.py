"""A batch of an image group: the same images, with the labels that each task has of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
