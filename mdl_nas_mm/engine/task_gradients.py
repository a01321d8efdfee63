"""The tasks' gradients of the weights that all of them share, each kept by itself in a step."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn


class TaskGradients:
    """Takes each task's gradients apart, and puts what is made of them in their place.

    They are the rows of one matrix (K, P), of K tasks and P shared weights, from the first backward
    pass to the end of the step, and are never copied as a whole.

    Args:
        parameters: the shared weights, of one data type, in the same order on all processes.
        tasks: all tasks, also those of other processes.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], tasks: Sequence[str]) -> None:
        self._parameters = [p for p in parameters if p.requires_grad]
        self._sizes = [p.numel() for p in self._parameters]
        self._tasks = list(tasks)
        self._held: tuple[Tensor, Tensor] | None = None

    @contextmanager
    def of(self, task: str) -> Generator[None]:
        """Around a backward pass: what it gives the shared weights is added to the task's."""
        if not self._parameters:
            yield
            return
        rows, have = self._matrix()
        index = self._tasks.index(task)
        views = [row.view_as(p) for p, row in zip(self._parameters, rows[index].split(self._sizes))]
        for parameter, view, has in zip(self._parameters, views, have[index].tolist()):
            parameter.grad = view if has else None
        yield
        for i, (parameter, view) in enumerate(zip(self._parameters, views)):
            if parameter.grad is not None and not have[index, i]:
                view.copy_(parameter.grad)
                have[index, i] = 1
            parameter.grad = None

    def combine(
        self, aggregate: Callable[[Tensor], Tensor], scale: float, grouped: bool
    ) -> dict[str, Tensor]:
        """Leaves one gradient, on the first process alone, so that a sum over all of them is it.

        Args:
            aggregate: of gradients (K, P) of K tasks that have any, what becomes of them: (P,).
            scale: what the losses were multiplied with against overflow.
            grouped: whether there are other processes, all of which have the same weights.

        Returns:
            Task -> the norm of its gradient; of the first process, elsewhere nothing.
        """
        if not self._parameters:
            return {}
        rows, have = self._matrix()
        self._held = None
        for row, has in zip(rows, have):
            if grouped:
                dist.reduce(row, 0)
                dist.reduce(has, 0)
            # Losses counted 1 / K each; a task's gradient is that of its own.
            row.mul_(len(self._tasks) / scale)
        given = (have > 0).any(dim=1).tolist()
        if (grouped and dist.get_rank()) or not any(given):
            return {}
        if not all(given):
            rows = rows[torch.tensor(given, device=rows.device)]
        finite = all(bool(row.isfinite().all()) for row in rows)
        # What overflowed is left for the loss scaler to see.
        combined = (aggregate(rows) if finite else rows.sum(0)) * scale
        reached = (have > 0).any(dim=0).tolist()
        for parameter, grad, has in zip(self._parameters, combined.split(self._sizes), reached):
            parameter.grad = grad.view_as(parameter).to(parameter.dtype) if has else None
        tasks = [task for task, is_given in zip(self._tasks, given) if is_given]
        return dict(zip(tasks, rows.norm(dim=1)))

    def _matrix(self) -> tuple[Tensor, Tensor]:
        """The gradients (K, P), and of which weights a task has any: (K, number of weights)."""
        if self._held is None:
            count, first = len(self._tasks), self._parameters[0]
            self._held = (
                first.new_zeros(count, sum(self._sizes)),
                first.new_zeros(count, len(self._sizes)),
            )
        return self._held
