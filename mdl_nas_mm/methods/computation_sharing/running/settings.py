"""How a base task and its sub-tasks are run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mdl_nas_mm.utils.amounts import check_at_least, check_count

REUSE = ('none', 'tasks', 'frames', 'both')
EXECUTIONS = ('rows', 'elements')
ATTENTION = ('exact', 'queries')
COSTS = ('densities', 'times')
Thresholds = float | Sequence[float] | Mapping[str, float | Sequence[float]]


@dataclass(frozen=True)
class SharingSettings:
    """What is reused, and how exactly.

    Attributes:
        reuse: ``'tasks'``: sub-tasks take over what the base computed of the same images (Eq. 3
            and 4); ``'frames'``: each task what it computed of the frame before (Eq. 5);
            ``'both'``: for each half of a block whichever costs less (Section 3.3); ``'none'``:
            every task computes all by itself.
        execution: ``'rows'`` computes the tokens that changed, gathered into dense products;
            ``'elements'`` is the paper's, by single elements, which is counted but computed
            densely.
        threshold: differences up to it count as none: of an element its absolute value, of a row
            its root mean square. For all, a list of one a block, or task -> either; 0 is exact.
        frame_threshold: the same between frames; ``threshold`` by default.
        attention: once a row has changed, ``'exact'`` brings all rows up to date that attend to
            it, ``'queries'`` just the changed rows themselves, which then see all changed keys
            and values, while the others keep what they attended to.
        key_every: every how many frames one is computed without the frame before; 0 for never.
        moved: where more than this part of the first block's rows changed, a frame is such a one;
            it leaves nothing to the next frame, so that after a movement there is one more.
        dense: where more than this part of the rows changed, all are computed, without gathering.
        cost: what ``'both'`` compares: ``'densities'``, how much differs; with rows as execution
            also ``'times'``, which are measured on this machine, each shape once, and say in place
            of ``dense`` when all rows are computed. From run to run another source may be chosen,
            which above a threshold of 0 changes answers within it.
    """

    reuse: str = 'both'
    execution: str = 'rows'
    threshold: Thresholds = 0.0
    frame_threshold: Thresholds | None = None
    attention: str = 'exact'
    key_every: int = 0
    moved: float = 0.6
    dense: float = 0.9
    cost: str = 'densities'

    def __post_init__(self) -> None:
        known = dict(reuse=REUSE, execution=EXECUTIONS, attention=ATTENTION, cost=COSTS)
        for key, values in known.items():
            if getattr(self, key) not in values:
                raise ValueError(f'{key} is {getattr(self, key)!r}, expected one of {values}')
        if self.cost == 'times' and self.execution != 'rows':
            raise ValueError("cost 'times' is measured of rows; execution is 'elements'")
        check_count('computation sharing', 'key_every', self.key_every, 0)
        for key in ('moved', 'dense'):
            value = getattr(self, key)
            if not (isinstance(value, (int, float)) and 0 < value <= 1):
                raise ValueError(f'{key} is {value!r}, expected in (0, 1]')

    @property
    def shares_tasks(self) -> bool:
        """Whether sub-tasks take over what the base computed."""
        return self.reuse in ('tasks', 'both')

    @property
    def shares_frames(self) -> bool:
        """Whether a frame takes over what the frame before computed."""
        return self.reuse in ('frames', 'both')

    @property
    def is_exact(self) -> bool:
        """Whether all thresholds between tasks are 0."""
        value = self.threshold
        values = value.values() if isinstance(value, Mapping) else [value]
        return not any(any(v) if isinstance(v, Sequence) else v for v in values)

    def of_blocks(self, key: str, task: str, blocks: int) -> list[float]:
        """A task's thresholds of all blocks.

        Args:
            key: ``'threshold'`` or ``'frame_threshold'``.
            task: its name.
            blocks: how many there are.

        Raises:
            ValueError: there is none for the task, not one a block, or one that is no number of at
                least 0.
        """
        key = 'threshold' if getattr(self, key) is None else key
        value = getattr(self, key)
        if isinstance(value, Mapping):
            if task not in value:
                raise ValueError(f'{key}: none for task {task!r}, only for {sorted(value)}')
            value = value[task]
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        values = list(value) if is_list else [value] * blocks
        if len(values) != blocks:
            raise ValueError(f'{key} of task {task!r}: {len(values)} values for {blocks} blocks')
        for each in values:
            check_at_least(each, 0, f'{key} of task {task!r} is')
        return [float(each) for each in values]
