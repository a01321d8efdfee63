"""A model that changes its architecture between two images: nothing is loaded, no weight copied."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.tasks import MultiTaskModel, ResolvedConfig, pass_groups_of
from mdl_nas_mm.tasks.recalibrate import BatchNormRecalibration
from mdl_nas_mm.utils.amounts import shown_least
from mdl_nas_mm.utils.clock import Clock
from mdl_nas_mm.utils.private import BatchNorm

from .controller import Configuration, Controller
from .preferences import normalised

_STATISTICS = ('running_mean', 'running_var')


@dataclass(frozen=True)
class Calibrated:
    """An architecture whose batch norms are calibrated.

    Attributes:
        found: the architecture, and what it was found for.
        budget: that it was found for, as it was asked.
        statistics: names of running means and variances -> of the channels in use.
    """

    found: Configuration
    budget: str | float | None
    statistics: Mapping[str, Tensor]


class ControlledModel:
    """All tasks' models, of which one architecture is active.

    A request takes the best calibrated architecture that fits at once; ``search`` finds and
    calibrates one for just this request. Weights of narrow layers are views of the model's; what an
    architecture has for itself are the statistics of its batch norms.

    Args:
        model: the supernet, in eval mode; its statistics of batch norms change with each switch.
        controller: of the same tasks.
        images: task -> preprocessed images (B, C, H, W) to calibrate with.
        front: calibrated architectures.

    Raises:
        ValueError: there are batch norms and no images to calibrate with.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        controller: Controller,
        images: Mapping[str, Tensor],
        front: Sequence[Calibrated] = (),
    ) -> None:
        self.model, self.controller, self.front = model.eval(), controller, list(front)
        self.images = dict(images)
        self._norms = _named_norms(model)
        missing = [task for task in model.tasks if task not in self.images]
        if self._norms and missing:
            raise ValueError(
                f'task {missing[0]!r}: there are no images to calibrate its batch norms with'
            )
        for member in self.front:
            self._check(member)
        self.member: Calibrated | None = None

    @classmethod
    def of(
        cls,
        cfg: ResolvedConfig,
        checkpoint: str | Path,
        controller: Controller,
        images: int = 16,
    ) -> ControlledModel:
        """Of a trained supernet; its calibration images are training images.

        Args:
            cfg: a resolved joint config.
            checkpoint: the supernet.
            controller: of the same config.
            images: how many, rounded up to a batch.

        Raises:
            ValueError: a task's batches are of several sizes.
        """
        model, pass_groups = load_supernet(cfg, checkpoint), pass_groups_of(cfg)
        own = [group for of_loader in pass_groups.of.values() for group in of_loader]
        found: dict[str, Tensor] = {}
        for group in own:
            loaders = {task: cfg.tasks[task].train for task in group}
            batches = BatchNormRecalibration(model, group, loaders, images).batches
            for task in group:
                inputs = [batch[task]['inputs'] for batch in batches if task in batch]
                if inputs:
                    found[task] = _joined(task, inputs)
        return cls(model, controller, found)

    def request(
        self, budget: str | float | None = None, prefer: Mapping[str, float] | None = None
    ) -> Calibrated:
        """Switches to the best member of the front that fits, and gives it.

        That is the one whose preferences are nearest, and of equally near ones the one of the
        lowest predicted losses of the most preferred tasks.

        Raises:
            ValueError: no member fits, or see ``Controller.configure``.
        """
        controller, tasks = self.controller, list(self.controller.columns.spaces)
        wanted = normalised(dict.fromkeys(tasks, 1.0) if prefer is None else prefer, tasks)
        limit, cost = controller.limit(budget), controller.cost_of(budget)
        costs = [float(cost(own.found.row[None])[0]) for own in self.front]
        fitting = [own for own, value in zip(self.front, costs) if value <= limit]
        if not fitting:
            raise ValueError(
                f'budget {budget!r}: none of the {len(self.front)} calibrated architectures fits, '
                f'the smallest has {shown_least(min(costs, default=math.inf))} {cost}; '
                'search for one: search=True of configure in Python, or mdl-nas deposit extract'
            )
        scales = dict(zip(tasks, controller.predictor.scales))
        most = [task for task in tasks if wanted[task] == 1]

        def distance(own: Calibrated) -> tuple[float, float]:
            apart = sum(abs(own.found.preferences[task] - wanted[task]) for task in tasks)
            return round(apart, 9), sum(own.found.losses[task] / scales[task] for task in most)

        best = min(fitting, key=distance)
        self.switch(best)
        return best

    def search(
        self,
        budget: str | float | None = None,
        prefer: Mapping[str, float] | None = None,
        cycles: int | None = None,
    ) -> tuple[Calibrated, float]:
        """Searches for a request, calibrates what is found, and switches to it.

        Returns:
            The architecture, and the seconds that its calibration took.
        """
        found = self.controller.configure(budget, prefer, cycles)
        clock = Clock(next(self.model.parameters()).device)
        clock.mark()
        member = Calibrated(found, budget, self.calibrated(found))
        self.switch(member)
        clock.mark()
        return member, clock.gaps()[0] / 1000

    def largest(self) -> Calibrated:
        """The largest architecture, calibrated."""
        controller = self.controller
        row, tasks = controller.columns.choices - 1, list(controller.columns.spaces)
        cost, losses = controller.cost_of(None), controller.losses(row[None])[0]
        found = Configuration(
            controller.columns.joint(row),
            row,
            float(cost(row[None])[0]),
            cost.unit,
            dict(zip(tasks, losses.tolist())),
            dict.fromkeys(tasks, 1.0),
            1.0,
            0.0,
        )
        return Calibrated(found, None, self.calibrated(found))

    def to(self, device: str | torch.device) -> ControlledModel:
        """Moves the model and the images; it is this object that is given back."""
        self.model.to(device)
        self.images = {task: images.to(device) for task, images in self.images.items()}
        return self

    def answering(self, task: str) -> AbstractContextManager:
        """Inside of the block, the upstream model of a task has the active architecture.

        Raises:
            ValueError: none is active yet.
        """
        if self.member is None:
            raise ValueError('no architecture is active: request one first')
        return activate(task, self.member.found.joint[task])

    def add_to_front(
        self, budgets: Sequence[str | float | None], preferences: Sequence[Mapping[str, float]]
    ) -> None:
        """Searches for every budget with every preference, and keeps what is found, calibrated."""
        for budget in budgets:
            for prefer in preferences:
                self.front.append(self.search(budget, prefer)[0])

    @torch.no_grad()
    def switch(self, member: Calibrated) -> None:
        """Makes a calibrated architecture the active one."""
        for name, values in member.statistics.items():
            path, _, buffer = name.rpartition('.')
            getattr(self._norms[path], buffer)[: len(values)].copy_(values)
        self.member = member

    def predict(self, task: str, data: Mapping[str, Any]) -> list:
        """What a task's model predicts with the active architecture.

        Tasks on the same images share a pass inside of ``with SharedPass():``.

        Args:
            task: its name.
            data: as upstream's ``test_step`` takes it.
        """
        with self.model.scope(task), self.answering(task):
            return self.model.tasks[task].test_step(data)

    def _check(self, member: Calibrated) -> None:
        """Raises ValueError for statistics of batch norms that are not there."""
        for name, values in member.statistics.items():
            path, _, buffer = name.rpartition('.')
            norm = self._norms.get(path)
            fits = norm is not None and values.dim() == 1 and len(values) <= norm.num_features
            if not fits or buffer not in _STATISTICS:
                raise ValueError(f'{name!r} of a calibrated architecture fits no batch norm')

    @torch.no_grad()
    def calibrated(self, found: Configuration) -> dict[str, Tensor]:
        """The statistics of an architecture's batch norms, estimated with the images."""
        before = {name: _buffers(norm) for name, norm in self._norms.items()}
        momenta = {name: norm.momentum for name, norm in self._norms.items()}
        widths: dict[str, int] = {}
        hooks = [
            norm.register_forward_pre_hook(
                lambda _, args, name=name: widths.__setitem__(name, args[0].shape[1])
            )
            for name, norm in self._norms.items()
        ]
        try:
            for norm in self._norms.values():
                norm.reset_running_stats()
                # A plain mean over all passes.
                norm.momentum = None
                norm.train()
            if self._norms:
                self._run(found)
            return {
                f'{name}.{buffer}': getattr(self._norms[name], buffer)[:width].clone()
                for name, width in widths.items()
                for buffer in _STATISTICS
            }
        finally:
            for hook in hooks:
                hook.remove()
            for name, norm in self._norms.items():
                norm.momentum = momenta[name]
                norm.load_state_dict({**norm.state_dict(), **before[name]})
                norm.eval()

    def _run(self, found: Configuration) -> None:
        """Lets the images through; an encoder sees those that tasks have in common once."""
        with SharedPass():
            for task, images in self.images.items():
                with self.model.scope(task), activate(task, found.joint[task]):
                    self.model.tasks[task](images, mode='tensor')


def _joined(task: str, batches: Sequence[Tensor]) -> Tensor:
    """All images of a task's batches, or ValueError where they are of several sizes."""
    sizes = dict.fromkeys(f'{each.shape[-2]} x {each.shape[-1]}' for each in batches)
    if len(sizes) > 1:
        raise ValueError(
            f'task {task!r}: its training images, to calibrate batch norms with, are of '
            f'{", ".join(sizes)}; give them one size, as RandomCrop with padding does'
        )
    return torch.cat(list(batches))


def _named_norms(model: MultiTaskModel) -> dict[str, BatchNorm]:
    """Name in the joint model -> its batch norms, each once."""
    found: dict[str, BatchNorm] = {}
    seen: set[int] = set()
    for name, module in model.named_modules():
        if isinstance(module, BatchNorm) and module.track_running_stats and id(module) not in seen:
            seen.add(id(module))
            found[name] = module
    return found


def _buffers(norm: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in norm.named_buffers()}
