"""The tasks' gradients of the weights that all of them share, each kept by itself in a step."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn


class TaskGradients:
    """Takes each task's gradients apart, and puts what is made of them in their place.

    Args:
        parameters: the shared weights, in the same order on all processes.
        tasks: all tasks, also those of other processes.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], tasks: Sequence[str]) -> None:
        self._parameters = [p for p in parameters if p.requires_grad]
        self._found: dict[str, list[Tensor | None]] = {
            task: [None] * len(self._parameters) for task in tasks
        }

    @contextmanager
    def of(self, task: str) -> Generator[None]:
        """Around a backward pass: what it gives the shared weights is added to the task's."""
        for parameter, grad in zip(self._parameters, self._found[task]):
            parameter.grad = grad
        yield
        self._found[task] = [parameter.grad for parameter in self._parameters]
        for parameter in self._parameters:
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
        count, rows, flags = len(self._found), {}, torch.zeros(len(self._parameters))
        for task in list(self._found) if self._parameters else []:
            row, own = self._summed(task, grouped)
            if bool(own.any()):
                # Losses counted 1 / K each; a task's gradient is that of its own.
                rows[task] = row * (count / scale)
                flags += own
        if (grouped and dist.get_rank()) or not rows:
            return {}
        matrix = torch.stack(list(rows.values()))
        finite = bool(matrix.isfinite().all())
        # What overflowed is left for the loss scaler to see.
        combined = (aggregate(matrix) if finite else matrix.sum(0)) * scale
        parts = combined.split([p.numel() for p in self._parameters])
        for parameter, grad, has_any in zip(self._parameters, parts, flags.tolist()):
            parameter.grad = grad.view_as(parameter).to(parameter.dtype) if has_any else None
        return dict(zip(rows, matrix.norm(dim=1)))

    def _summed(self, task: str, grouped: bool) -> tuple[Tensor, Tensor]:
        """A task's gradient of all processes (P,), and for each weight whether it has one."""
        grads = self._found.pop(task)
        pairs = list(zip(self._parameters, grads))
        flat = [(torch.zeros_like(p) if g is None else g).reshape(-1) for p, g in pairs]
        own = torch.tensor([float(g is not None) for g in grads]).to(flat[0])
        row = torch.cat([*flat, own])
        if grouped:
            dist.reduce(row, 0)
        row, own = row.split([len(row) - len(grads), len(grads)])
        return row, (own > 0).float().cpu()
