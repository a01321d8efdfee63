"""What a frame took: operations as the paper counts them, and multiply-adds really executed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """One part of one task, or the attention beside it.

    Attributes:
        task: the task.
        part: name of the part's first layer; of attention the block's, with ``.attention``.
        source: whose difference was computed: ``'base'``, ``'frame'``, or ``'plain'`` for none.
        weight_density: S_w, the part of the weights that differs from the base's.
        density: S_a1 or S_a2, the part of the inputs that differs from the source's; 1 for none.
        whole: multiply-adds of all rows.
        executed: multiply-adds that were executed.
        rows: rows that were computed.
    """

    task: str
    part: str
    source: str
    weight_density: float
    density: float
    whole: int
    executed: int
    rows: int

    @property
    def is_attention(self) -> bool:
        """Whether it is products of queries, keys and values, which the paper leaves dense."""
        return self.part.endswith('.attention')

    @property
    def counted(self) -> float:
        """Multiply-adds as in Section 3.3: (S_w + S_a1), or S_a2, times the layer's own."""
        if self.is_attention or self.source == 'plain':
            return float(self.whole)
        from_base = self.weight_density if self.source == 'base' else 0.0
        return (from_base + self.density) * self.whole


@dataclass(frozen=True)
class Totals:
    """Multiply-adds of some work.

    Attributes:
        whole: without any sharing.
        counted: as the paper counts them.
        executed: really executed.
    """

    whole: int
    counted: float
    executed: int


def totals(work: Iterable[Work]) -> Totals:
    """Sums over parts; attention is part of all three."""
    work = list(work)
    return Totals(
        sum(each.whole for each in work),
        sum(each.counted for each in work),
        sum(each.executed for each in work),
    )


def by_task(work: Iterable[Work]) -> dict[str, Totals]:
    """Task -> its totals."""
    work = list(work)
    tasks = dict.fromkeys(each.task for each in work)
    return {task: totals(each for each in work if each.task == task) for task in tasks}
