"""What each task counts in a step. A config names one of these in ``train_cfg.step.balance``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mdl_nas_mm.registry import BALANCERS
from mdl_nas_mm.utils.amounts import check_count, is_number
from mdl_nas_mm.utils.task_names import check_tasks


class Balancer(nn.Module):
    """Weighs the tasks' losses, each beside its ``loss_weight``.

    Parameters and buffers are the step's own: see ``Step``.

    Args:
        tasks: all tasks, also those of other processes.

    Attributes:
        takes_gradients: whether the tasks' gradients of shared weights are kept apart, for
            ``aggregate``.
    """

    takes_gradients = False

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)

    def forward(self, task: str, loss: Tensor) -> Tensor:
        """What a task's loss counts as; differentiable in the balancer's own parameters."""
        return loss

    def aggregate(self, gradients: Tensor) -> Tensor:
        """What shared weights get (P,) of the gradients (K, P) of the K tasks with a loss.

        Each is the mean over the task's images, times its ``loss_weight``; of tasks with more
        batches than others it counts more. The first process alone is asked.
        """
        return gradients.mean(0)

    def observe(self, losses: Mapping[str, Tensor]) -> None:
        """Told a step's losses, the same on all processes; see ``SubnetSampler.observe``."""

    def logged(self) -> dict[str, Tensor]:
        """What the log shows of it after a step, the same on all processes."""
        return {}

    def _known(self, tasks: Sequence[str], setting: str) -> list[str]:
        check_tasks(f'train_cfg.step.balance.{setting}', tasks, self.tasks)
        return list(tasks)


@BALANCERS.register_module()
class UncertaintyWeighting(Balancer):
    """A learned variance a task (Kendall et al., 2018, Eq. 7 to 10).

    A loss L becomes L / (2 sigma^2) + log sigma, or, of the tasks in ``classification``,
    L / sigma^2 + log sigma. What is learned is log sigma^2. The log shows the factor of L as
    ``<task>/weight``.

    Args:
        tasks: see ``Balancer``.
        classification: tasks whose loss is a cross entropy.
        init: log sigma^2 at the beginning.
    """

    def __init__(
        self, tasks: Sequence[str], classification: Sequence[str] = (), init: float = 0.0
    ) -> None:
        super().__init__(tasks)
        self.classification = self._known(classification, 'classification')
        if not (is_number(init) and math.isfinite(init)):
            raise ValueError(f'train_cfg.step.balance.init is {init!r}, expected a number')
        self.log_variances = nn.Parameter(torch.full((len(self.tasks),), float(init)))

    def forward(self, task: str, loss: Tensor) -> Tensor:
        """The loss under the task's variance."""
        return self._weight(task) * loss + self._log_variance(task) / 2

    def logged(self) -> dict[str, Tensor]:
        """The factor of each task's loss."""
        return {f'{task}/weight': self._weight(task).detach() for task in self.tasks}

    def _log_variance(self, task: str) -> Tensor:
        return self.log_variances[self.tasks.index(task)]

    def _weight(self, task: str) -> Tensor:
        precision = (-self._log_variance(task)).exp()
        return precision if task in self.classification else precision / 2


@BALANCERS.register_module()
class DynamicWeightAverage(Balancer):
    """More for tasks whose losses fall slowly (Liu et al., 2019, Eq. 7).

    Over windows of some steps, in place of their epochs, weights are K softmax(r / T), where r is a
    task's mean loss of the last window divided by that of the window before, and K the number of
    tasks. They are 1 until there are two windows, and r is 1 of a task without a loss in one. The
    log shows them as ``<task>/weight``.

    Args:
        tasks: see ``Balancer``.
        window: steps of a window; such as those of an epoch.
        temperature: T; the higher, the more alike are the weights.
    """

    steps: Tensor
    sums: Tensor
    counts: Tensor
    means: Tensor
    weights: Tensor

    def __init__(self, tasks: Sequence[str], window: int, temperature: float = 2.0) -> None:
        super().__init__(tasks)
        check_count('train_cfg.step', 'balance.window', window, 1)
        if not (is_number(temperature) and temperature > 0):
            raise ValueError(
                f'train_cfg.step.balance.temperature is {temperature!r}, has to be above 0'
            )
        self.window, self.temperature = window, temperature
        each = torch.zeros(len(self.tasks), dtype=torch.float64)
        self.register_buffer('steps', torch.zeros((), dtype=torch.long))
        self.register_buffer('sums', each.clone())
        self.register_buffer('counts', each.clone())
        # Of the window before; not a number where there is none.
        self.register_buffer('means', torch.full_like(each, torch.nan))
        self.register_buffer('weights', each + 1)

    def forward(self, task: str, loss: Tensor) -> Tensor:
        """The loss times its weight."""
        return self.weights[self.tasks.index(task)].to(loss.dtype) * loss

    def observe(self, losses: Mapping[str, Tensor]) -> None:
        """Adds them to the window; at its end there are new weights."""
        for index, task in enumerate(self.tasks):
            loss = losses.get(f'{task}/loss')
            if loss is not None:
                self.sums[index] += loss
                self.counts[index] += 1
        self.steps += 1
        if self.steps % self.window == 0:
            self._end_window()

    def logged(self) -> dict[str, Tensor]:
        """The factor of each task's loss."""
        return {f'{task}/weight': weight for task, weight in zip(self.tasks, self.weights.clone())}

    def _end_window(self) -> None:
        means = self.sums / self.counts
        ratios = (means / self.means).nan_to_num(nan=1.0, posinf=1.0)
        self.weights.copy_(len(self.tasks) * (ratios / self.temperature).softmax(0))
        self.means.copy_(torch.where(self.counts > 0, means, self.means))
        self.sums.zero_()
        self.counts.zero_()


@BALANCERS.register_module()
class GradientAggregation(Balancer):
    """Combines the tasks' gradients of what all of them share, by an aggregator of torchjd.

    The log shows the norms of these gradients as ``<task>/grad_norm``. Weights that one task or
    some own get their gradient as without it.

    Args:
        tasks: see ``Balancer``.
        aggregator: a class of ``torchjd.aggregation`` and its arguments, such as
            ``dict(type='UPGrad')``. ``Mean`` trains as without balancing.

    Raises:
        ValueError: torchjd is not installed, has no such aggregator, or one that remembers.
    """

    takes_gradients = True

    def __init__(self, tasks: Sequence[str], aggregator: Mapping[str, Any]) -> None:
        super().__init__(tasks)
        if not isinstance(aggregator, Mapping) or 'type' not in aggregator:
            raise ValueError(
                f"train_cfg.step.balance.aggregator is {aggregator!r}, expected dict(type='UPGrad')"
            )
        settings = dict(aggregator)
        self.aggregator = _torchjd_aggregator(settings.pop('type'), settings)

    def aggregate(self, gradients: Tensor) -> Tensor:
        """As the aggregator does."""
        return self.aggregator(gradients)


def _torchjd_aggregator(name: str, settings: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
    where = 'train_cfg.step.balance.aggregator'
    try:
        from torchjd import aggregation
    except ImportError as error:
        raise ValueError(f"{where}: needs torchjd: pip install 'mdl_nas_mm[balancing]'") from error
    found = getattr(aggregation, name, None)
    if not (isinstance(found, type) and issubclass(found, aggregation.Aggregator)):
        raise ValueError(
            f'{where}: torchjd.aggregation has no {name!r}; its older versions have CAGrad and '
            'NashMTL only beside cvxpy'
        )
    if hasattr(found, 'reset'):
        raise ValueError(
            f'{where}: {name} remembers earlier steps, which a checkpoint would not have'
        )
    try:
        return found(**settings)
    except (ImportError, TypeError) as error:
        raise ValueError(f'{where}: {name}: {error}') from error


def build_balancer(config: Mapping[str, Any], tasks: Sequence[str]) -> Balancer:
    """The balancer that a config names."""
    return BALANCERS.build({**config, 'tasks': tuple(tasks)})
