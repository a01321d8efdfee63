"""The loaders of all tasks as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class JointLoader:
    """All tasks' loaders as the one loader that mmengine's hooks expect.

    Args:
        loaders: task -> its loader.
        length: joint batches.
        counts: task -> batches of its loader in a joint one.
    """

    def __init__(
        self, loaders: Mapping, length: int, counts: Mapping[str, int] | None = None
    ) -> None:
        self.loaders = dict(loaders)
        self.length = length
        self.counts = dict(counts or dict.fromkeys(loaders, 1))
        self.dataset = next(iter(self.loaders.values())).dataset

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[dict[str, list]]:
        """Joint batches: task -> its batches."""
        iterators = {task: iter(loader) for task, loader in self.loaders.items()}
        while True:
            yield {
                task: [next(iterator) for _ in range(self.counts[task])]
                for task, iterator in iterators.items()
            }
