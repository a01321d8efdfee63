"""The loaders of all tasks as one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from mdl_nas_mm.tasks.failures import in_task


class JointLoader:
    """All tasks' loaders as the one loader that mmengine's hooks expect.

    Args:
        loaders: task -> its loader.
        length: joint batches.
        counts: task -> batches of its loader in a joint one.
        start: number of the first joint batch.
    """

    def __init__(
        self,
        loaders: Mapping,
        length: int,
        counts: Mapping[str, int] | None = None,
        start: int = 0,
    ) -> None:
        self.loaders = dict(loaders)
        self.length, self.start = length, start
        self.counts = dict(counts or dict.fromkeys(loaders, 1))
        self.dataset = next(iter(self.loaders.values())).dataset

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[dict[str, list]]:
        """Joint batches: task -> its batches."""
        iterators = {task: iter(loader) for task, loader in self.loaders.items()}
        for number in itertools.count(self.start):
            batches = {}
            for task, iterator in iterators.items():
                with in_task(task, f'iteration {number}'):
                    batches[task] = [next(iterator) for _ in range(self.counts[task])]
            yield batches
