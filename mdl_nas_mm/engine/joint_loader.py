"""The loaders of all tasks as one."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from mdl_nas_mm.tasks import restart
from mdl_nas_mm.tasks.failures import in_images, in_task


class JointLoader:
    """All tasks' loaders as the one loader that mmengine's hooks expect.

    Args:
        loaders: task, or image group -> its loader.
        length: joint batches.
        counts: task or image group -> batches of its loader in a joint one.
        groups: which of these are image groups.
    """

    def __init__(
        self,
        loaders: Mapping,
        length: int,
        counts: Mapping[str, int] | None = None,
        groups: Collection[str] = (),
    ) -> None:
        self.loaders, self.groups = dict(loaders), groups
        self.length, self.start = length, 0
        self.counts = dict(counts or dict.fromkeys(loaders, 1))
        self.dataset = next(iter(self.loaders.values())).dataset

    def restart(self, seed: int, start: int) -> None:
        """Begins at joint batch number ``start``, with another seed; see ``tasks.restart``."""
        self.start = start
        for name, loader in self.loaders.items():
            restart(loader, name, seed, start)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[dict[str, list]]:
        """Joint batches: task -> its batches, and image group -> a ``GroupBatch`` for each."""
        iterators = {name: iter(loader) for name, loader in self.loaders.items()}
        for number in itertools.count(self.start):
            batches = {}
            for name, iterator in iterators.items():
                with self.named(name, f'iteration {number}'):
                    batches[name] = [next(iterator) for _ in range(self.counts[name])]
            yield batches

    def named(self, name: str, where: str) -> AbstractContextManager:
        """Around what may fail for the data of a task or of an image group, which errors name."""
        return (in_images if name in self.groups else in_task)(name, where)

    @property
    def datasets(self) -> dict[str, Any]:
        """Task -> its data set."""
        found = {}
        for name, loader in self.loaders.items():
            if name in self.groups:
                found.update(loader.dataset.dataset.datasets)
            else:
                found[name] = loader.dataset
        return found
