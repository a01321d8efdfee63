"""The forward and backward passes that a method's step is composed of."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor

from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.spec.owners import ALL
from mdl_nas_mm.tasks import MultiTaskModel
from mdl_nas_mm.tasks.failures import in_task
from mdl_nas_mm.tasks.group_batch import GroupBatch
from mdl_nas_mm.utils.randomness import derive_seed, seeded

from .balancing import Balancer
from .grad_sync import GradientReducer
from .labels import Labelled, count_labels
from .pass_batch import PassBatch
from .plan import StepPlan
from .shared_features import SharedFeatures
from .task_gradients import TaskGradients
from .untouched import untouched


class Passes:
    """One step of one process while it runs: batches in, gradients and losses out.

    Args:
        model: the multi-task model, with the tasks of this process.
        optim_wrapper: scales the losses, and holds the context of mixed precision.
        batches: this process's tasks and image groups -> a batch from its loader for each of its
            parts.
        plan: how much each loss weighs, and which parts of a batch are here.
        iteration: number of steps before this one.
        reducer: adds the gradients of all ranks; None for a single process.
        labelled: what ``count_labels`` gives; by default that of a single process.
        balance: what tasks' losses count as; by default as they are.
        grad_norms: log the norm of each task's gradient of what all tasks share.

    Attributes:
        losses: this rank's part of what is logged, as ``<task>/<name>``; see ``log``.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        optim_wrapper: OptimWrapper,
        batches: Mapping[str, Sequence[dict | GroupBatch]],
        plan: StepPlan,
        iteration: int,
        reducer: GradientReducer | None = None,
        labelled: Mapping[str, Labelled] | None = None,
        balance: Balancer | None = None,
        grad_norms: bool = False,
    ) -> None:
        self.model, self.optim_wrapper = model, optim_wrapper
        self.plan, self.iteration, self.reducer = plan, iteration, reducer
        self.balance = balance
        self._batches, self._exchanged = batches, False
        self._labelled = count_labels(batches) if labelled is None else labelled
        self._announced: deque[Mapping[str, SubnetSpec]] = deque()
        # Set inside of ``prepared``, and of ``shared`` for several tasks.
        self._batch: PassBatch | None = None
        self._features: SharedFeatures | None = None
        self._shared_passes = 0
        self._gradients: TaskGradients | None = None
        if grad_norms or (balance is not None and balance.takes_gradients):
            self._gradients = TaskGradients(model.parameters_by_owners()[ALL], list(plan.shares))
        self.losses: dict[str, Tensor] = {}

    def batches(self) -> Iterator[PassBatch]:
        """This process's parts of the batches, one pass group after the other.

        Those without a label are left out.
        """
        for name, group in self._batches.items():
            for pass_group in self.plan.pass_groups[name]:
                for part, batch in zip(self.plan.parts[pass_group[0]], group, strict=True):
                    found = PassBatch.of(pass_group, part, batch, self._labelled)
                    if found.tasks:
                        yield found

    @contextmanager
    def prepared(self, batch: PassBatch) -> Generator[dict[str, dict]]:
        """Gives a batch preprocessed, by task, for all passes over it, which belong into the block.

        What is random inside depends on the step and the part alone: dropout and upstream's
        choices. A batch may be prepared once, since upstream's preprocessors change it.

        Raises:
            TaskError: a task's model has failed; names the files of its batch.
        """
        lead, self._batch, self._shared_passes = batch.tasks[0], batch, 0
        try:
            with self._named(lead), seeded(self._seed(lead)), self.model.apart(batch.apart):
                yield {task: self._preprocessed(task) for task in batch.tasks}
        finally:
            self._batch = None

    @contextmanager
    def shared(
        self, subnets: Mapping[str, SubnetSpec], data: Mapping[str, Mapping]
    ) -> Generator[None]:
        """Runs the backbone once for the passes of several tasks inside the block.

        Each of these has its own ``forward`` and ``backward``, which frees what its head has
        computed; the sum of their gradients goes through the backbone when the block ends. For a
        single task it is nothing: its one backward pass goes through both.

        Args:
            subnets: the tasks of the batch -> their architectures, with the same backbone.
            data: what ``prepared`` gave.
        """
        assert self._batch is not None, 'shared belongs into the block of prepared'
        if len(subnets) == 1:
            yield
            return
        self._shared_passes += 1
        with self.optim_wrapper.optim_context(self.model):
            features = SharedFeatures(self.model, subnets, data, self._batch.places)
        self._features = features
        try:
            yield
        finally:
            self._features = None
        if self._gradients is None:
            with self._exchanging():
                features.backward()
            return
        for task, backward in features.backward_apart():
            with self._gradients.of(task):
                backward()

    def forward(self, task: str, spec: SubnetSpec, data: dict) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one subnet on a task's prepared batch, and its parts by name.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        with self._on_features(task), self.optim_wrapper.optim_context(self.model):
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

    def factor(self, task: str, batch: PassBatch) -> float:
        """How much a task's loss of a batch counts in the sum over all ranks and tasks."""
        return batch.weights[task] * self.plan.weights[task] * self.plan.shares[task]

    def announce(self, passes: Iterable[Mapping[str, SubnetSpec]]) -> None:
        """Says of which tasks and subnets each backward pass through the backbone will be.

        Gradients are sent during the last one, those that it does not touch at its beginning. A
        step that announces nothing has them sent when all of its passes are done.

        Args:
            passes: the subnets of each; see ``PassBatch.subnets``.
        """
        # Gradients that are kept apart are sent in the end.
        self._announced = deque(passes if self._gradients is None else ())

    def backward(self, task: str, loss: Tensor, factor: float) -> None:
        """Adds the gradients of a task's loss, balanced, times a factor; see ``factor``."""
        loss = (loss if self.balance is None else self.balance(task, loss)) * factor
        # That of a head on shared features ends there.
        if self._gradients is not None:
            with self._gradients.of(task):
                self.optim_wrapper.backward(loss)
            if self._features is not None:
                self._features.keep_apart(task)
            return
        with nullcontext() if self._features is not None else self._exchanging():
            self.optim_wrapper.backward(loss)

    def log(self, task: str, batch: PassBatch, values: Mapping[str, Tensor]) -> None:
        """Puts what a task's part of a batch gave into the log, weighted with its images."""
        for name, value in values.items():
            key = f'{task}/{name}'
            self.losses[key] = self.losses.get(key, 0) + batch.weights[task] * value.detach()

    def finish(self) -> None:
        """Leaves with the gradients of all ranks."""
        if self._gradients is not None:
            self._aggregate(self._gradients)
        if self.reducer is not None and not self._exchanged:
            with self.reducer.last_backward():
                pass

    def _aggregate(self, gradients: TaskGradients) -> None:
        """Puts what the balancer makes of the tasks' gradients in their place, or their sum."""
        aggregate = self._summed
        if self.balance is not None and self.balance.takes_gradients:
            aggregate = self.balance.aggregate
        scaler = getattr(self.optim_wrapper, 'loss_scaler', None)
        scale = 1.0 if scaler is None else scaler.get_scale()
        with seeded(derive_seed(self.plan.seed, self.iteration, 'balance')):
            norms = gradients.combine(aggregate, scale, self.reducer is not None)
        self.losses |= {f'{task}/grad_norm': norm for task, norm in norms.items()}

    def _summed(self, gradients: Tensor) -> Tensor:
        """What they are without aggregation: each task counts 1 / K, also where some have none."""
        return gradients.sum(0) / len(self.plan.shares)

    def _exchanging(self) -> AbstractContextManager:
        """Around a backward pass: sends gradients in it, if it is the last one."""
        current = self._announced.popleft() if self._announced else None
        if self.reducer is None or current is None or self._announced:
            return nullcontext()
        self._exchanged = True
        return self.reducer.last_backward(untouched(self.model, current))

    def _preprocessed(self, task: str) -> dict:
        assert self._batch is not None
        with self._named(task):
            return self.model.preprocess(task, self._batch.batches[task])

    @contextmanager
    def _on_features(self, task: str) -> Generator[None]:
        """Around a head on shared features; what is random in it does not depend on the others."""
        if self._features is None:
            with self._named(task):
                yield
            return
        seed = self._seed(task, f'pass {self._shared_passes}')
        with self._named(task), seeded(seed), self._features.of(task):
            yield

    def _named(self, task: str) -> AbstractContextManager:
        assert self._batch is not None
        where = f'iteration {self.iteration}'
        return in_task(task, where, self._batch.batches[task], self.model.tasks[task])

    def _seed(self, task: str, *what: str) -> int:
        assert self._batch is not None
        part = self._batch.part
        return derive_seed(self.plan.seed, self.iteration, task, part.batch, part.part, *what)
