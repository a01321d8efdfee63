"""Running statistics of the batch norms of necks and heads, estimated anew for one subnet."""

from __future__ import annotations

import copy
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice

import torch
import torch.distributed as dist
from torch import nn

from mdl_nas_mm.utils.private import BatchNorm
from mdl_nas_mm.utils.randomness import derive_seed, seeded

from .data import build_train_loader
from .failures import batches_of, in_task
from .model import MultiTaskModel
from .resolved import ResolvedConfig
from .scope import task_scope


class BatchNormRecalibration:
    """Estimates a task's running statistics for whatever subnet is asked for.

    The statistics of training are a mean over all subnets of a step, while each has its own.
    They are a function of the subnet and the seed alone, whatever was random before.

    Args:
        model: the supernet.
        task: whose subnets.
        loader_config: the task's training loader.
        images: training images to estimate from; the task's first ones, rounded up to a batch.
        seed: of the order of the data, and of what is random in upstream's transforms.
        solo: process group of this process alone, where there are more.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        task: str,
        loader_config: Mapping | None,
        images: int,
        seed: int = 0,
        solo: dist.ProcessGroup | None = None,
    ) -> None:
        self.task, self.scope, self.solo = task, model.scopes[task], solo
        self.seed = derive_seed(seed, task, 'recalibrate')
        self.batches: Sequence[dict] = ()
        if _norms(model.tasks[task]):
            if loader_config is None:
                raise ValueError(f'task {task!r}: recalibrate_images needs a train_dataloader')
            loader = build_train_loader(task, self.scope, loader_config, seed)
            count = -(-images // loader_config['batch_size'])
            prepare = model.tasks[task].data_preprocessor
            batches = batches_of(task, 'recalibration, batch', loader)
            with seeded(self.seed), task_scope(self.scope, solo):
                self.batches = [prepare(batch, True) for batch in islice(batches, count)]

    @torch.no_grad()
    def apply(self, subnet: nn.Module) -> None:
        """Replaces the running statistics by those of one subnet.

        Args:
            subnet: the task's, of the same model; see ``MultiTaskModel.subnet``.
        """
        norms = _norms(subnet)
        momenta = [norm.momentum for norm in norms]
        try:
            for norm in norms:
                norm.reset_running_stats()
                # A plain mean over all batches.
                norm.momentum = None
                norm.train()
            if norms:
                self._run(subnet)
        finally:
            for norm, momentum in zip(norms, momenta):
                norm.momentum = momentum
                norm.eval()

    def _run(self, subnet: nn.Module) -> None:
        """Lets all batches through; other processes are at other subnets meanwhile."""
        with seeded(self.seed), task_scope(self.scope, self.solo):
            for batch in self.batches:
                with in_task(self.task, 'recalibration', batch, subnet):
                    # Some heads change the samples that they are given.
                    subnet(**copy.deepcopy(batch), mode='loss')

    @contextmanager
    def applied(self, subnet: nn.Module) -> Generator[None]:
        """Has the statistics of one subnet inside the block, and those of training after it."""
        norms = _norms(subnet)
        before = [_statistics(norm) for norm in norms]
        try:
            self.apply(subnet)
            yield
        finally:
            for norm, state in zip(norms, before):
                norm.load_state_dict({**norm.state_dict(), **state})


def recalibrations(
    cfg: ResolvedConfig, model: MultiTaskModel, solo: dist.ProcessGroup | None = None
) -> dict[str, BatchNormRecalibration]:
    """Task -> what its subnets' statistics are estimated with; nothing without
    ``recalibrate_images`` in the joint config.

    Args:
        cfg: the resolved joint config.
        model: the supernet.
        solo: process group of this process alone, where there are more.

    Raises:
        ValueError: ``recalibrate_images`` is no number of images.
    """
    images = cfg.get('recalibrate_images', 0)
    if not isinstance(images, int) or images < 0:
        raise ValueError(f'recalibrate_images: {images!r}, expected a number of images')
    if not images:
        return {}
    return {
        task: BatchNormRecalibration(model, task, cfg.tasks[task].train, images, solo=solo)
        for task in model.tasks
    }


def _norms(model: nn.Module) -> list[BatchNorm]:
    """The batch norms of a task's model, those of its elastic parts included."""
    return [
        module
        for module in model.modules()
        if isinstance(module, BatchNorm) and module.track_running_stats
    ]


def _statistics(norm: nn.Module) -> dict[str, torch.Tensor]:
    return {name: buffer.clone() for name, buffer in norm.named_buffers()}
