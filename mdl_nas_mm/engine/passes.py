"""The forward and backward passes that a method's step is composed of."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor

from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.tasks import MultiTaskModel
from mdl_nas_mm.tasks.failures import in_task
from mdl_nas_mm.utils.randomness import derive_seed, seeded

from .grad_sync import GradientReducer
from .plan import BatchPart, StepPlan
from .untouched import untouched


class Passes:
    """One step of one process while it runs: batches in, gradients and losses out.

    Args:
        batches: this process's tasks -> a batch from its loader for each of its parts.
        reducer: adds the gradients of all ranks; None for a single process.

    Attributes:
        losses: this rank's part of what is logged, as ``<task>/<name>``; see ``log``.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        optim_wrapper: OptimWrapper,
        batches: Mapping[str, Sequence[dict]],
        plan: StepPlan,
        iteration: int,
        reducer: GradientReducer | None = None,
    ) -> None:
        self.model, self.optim_wrapper = model, optim_wrapper
        self.plan, self.iteration, self.reducer = plan, iteration, reducer
        self._batches, self._exchanged = batches, False
        self._announced: deque[tuple[str, SubnetSpec]] = deque()
        self.losses: dict[str, Tensor] = {}

    def batches(self) -> Iterator[tuple[str, BatchPart, dict]]:
        """This process's parts of the tasks' batches, task by task."""
        for task, group in self._batches.items():
            for part, batch in zip(self.plan.parts[task], group, strict=True):
                yield task, part, batch

    @contextmanager
    def prepared(self, task: str, part: BatchPart, batch: dict) -> Generator[dict]:
        """Gives a batch preprocessed, for all passes over it, which belong into the block.

        What is random inside depends on the step and the part alone: dropout and upstream's
        choices. A batch may be prepared once, since upstream's preprocessors change it.

        Raises:
            TaskError: a task's model has failed; names the files of its batch.
        """
        seed = derive_seed(self.plan.seed, self.iteration, task, part.batch, part.part)
        where = f'iteration {self.iteration}'
        with in_task(task, where, batch, self.model.tasks[task]), seeded(seed):
            yield self.model.preprocess(task, batch)

    def forward(self, task: str, spec: SubnetSpec, data: dict) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one subnet on a prepared batch, and its parts by name.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        with self.optim_wrapper.optim_context(self.model):
            loss, parts = self.model.loss(task, spec, data)
        return self.checked(task, spec, loss), parts

    def checked(self, task: str, spec: SubnetSpec, loss: Tensor) -> Tensor:
        """The same loss.

        Raises:
            FloatingPointError: it is not finite.
        """
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f'loss is {loss.item()}: task {task!r}, iteration {self.iteration}, subnet {spec}'
            )
        return loss

    def factor(self, task: str, part: BatchPart) -> float:
        """How much the loss of a part of a batch counts in the sum over all ranks and tasks."""
        return part.weight * self.plan.weights[task] * self.plan.shares[task]

    def announce(self, passes: Iterable[tuple[str, SubnetSpec]]) -> None:
        """Says of which task and subnet each backward pass of the step will be.

        Gradients are sent during the last one, those that it does not touch at its beginning. A
        step that announces nothing has them sent when all of its passes are done.
        """
        self._announced = deque(passes)

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of a loss, which counts as ``factor`` says."""
        current = self._announced.popleft() if self._announced else None
        if self.reducer is None or current is None or self._announced:
            self.optim_wrapper.backward(loss)
            return
        with self.reducer.last_backward(untouched(self.model, *current)):
            self.optim_wrapper.backward(loss)
        self._exchanged = True

    def log(self, task: str, part: BatchPart, values: Mapping[str, Tensor]) -> None:
        """Puts what a part of a batch gave into the log, weighted with its images."""
        for name, value in values.items():
            key = f'{task}/{name}'
            self.losses[key] = self.losses.get(key, 0) + part.weight * value.detach()

    def finish(self) -> None:
        """Leaves with the gradients of all ranks."""
        if self.reducer is not None and not self._exchanged:
            with self.reducer.last_backward():
                pass
