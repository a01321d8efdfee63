"""Running statistics of batch norms, estimated anew for one architecture."""

from __future__ import annotations

import copy
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.spec.owners import join_names
from mdl_nas_mm.utils.private import BatchNorm
from mdl_nas_mm.utils.randomness import derive_seed, seeded

from .data import build_train_loader
from .failures import batches_of, in_task
from .group_data import build_group_train_loader
from .model import MultiTaskModel
from .pass_groups import PassGroup
from .resolved import ResolvedConfig
from .scope import task_scope

# Of the order of the data, and of what is random in upstream's transforms.
_SEED = 0


class BatchNormRecalibration:
    """Estimates the running statistics of whatever subnets of a pass group are asked for.

    The statistics of training are a mean over all subnets of a step, while each has its own.
    They are a function of the subnets alone, whatever was random before. Those of a backbone that
    the group's tasks have in common are estimated once for all of them.

    Args:
        model: the supernet.
        pass_group: whose subnets: a task, or several on the same images.
        loaders: task -> config of its training loader.
        images: training images to estimate from; the first ones, rounded up to a batch.
        solo: process group of this process alone, where there are more.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        pass_group: PassGroup,
        loaders: Mapping[str, Mapping | None],
        images: int,
        solo: dist.ProcessGroup | None = None,
    ) -> None:
        self.pass_group, self.solo = pass_group, solo
        self.scopes = {task: model.scopes[task] for task in pass_group}
        self.seed = derive_seed(_SEED, *pass_group, 'recalibrate')
        self.batches: Sequence[Mapping[str, dict]] = ()
        if not norms_of(model.backbone, *(model.tasks[task] for task in pass_group)):
            return
        configs: dict[str, Mapping] = {}
        for task in pass_group:
            config = loaders[task]
            if config is None:
                raise ValueError(f'task {task!r}: recalibrate_images needs a train_dataloader')
            configs[task] = config
        loaded = self._loaded(configs, -(-images // configs[pass_group[0]]['batch_size']))
        prepare = {task: model.tasks[task].data_preprocessor for task in pass_group}
        with seeded(self.seed):
            self.batches = [
                {task: self._prepared(task, prepare[task], own) for task, own in batch.items()}
                for batch in loaded
            ]

    def _loaded(self, configs: Mapping[str, Mapping], count: int) -> Iterator[Mapping[str, dict]]:
        """Task -> its samples, of each batch; without tasks of which it has no label."""
        lead = self.pass_group[0]
        if len(self.pass_group) == 1:
            alone = build_train_loader(lead, self.scopes[lead], configs[lead], _SEED)
            batches = batches_of(lead, 'recalibration, batch', alone)
            return ({lead: batch} for batch in islice(batches, count))
        name = join_names(self.pass_group)
        loader = build_group_train_loader(name, self.scopes, configs, _SEED)
        groups = (group.batches for group in islice(loader, count))
        return ({t: own for t, own in group.items() if own is not None} for group in groups)

    def _prepared(self, task: str, prepare: nn.Module, batch: dict) -> dict:
        with task_scope(self.scopes[task], self.solo):
            return prepare(batch, True)

    @torch.no_grad()
    def apply(self, subnets: Mapping[str, nn.Module]) -> None:
        """Replaces the running statistics by those of one architecture.

        Args:
            subnets: the group's tasks, or some, -> their models; see ``MultiTaskModel.subnets``.
        """
        norms = _norms(subnets)
        # Each process has all of the images itself.
        synchronised = [norm for norm in norms if isinstance(norm, nn.SyncBatchNorm)]
        momenta = [norm.momentum for norm in norms]
        groups = [norm.process_group for norm in synchronised]
        try:
            for norm in norms:
                norm.reset_running_stats()
                # A plain mean over all batches.
                norm.momentum = None
                norm.train()
            for norm in synchronised:
                norm.process_group = self.solo
            if norms:
                self._run(subnets)
        finally:
            for norm, momentum in zip(norms, momenta):
                norm.momentum = momentum
                norm.eval()
            for norm, group in zip(synchronised, groups):
                norm.process_group = group

    def _run(self, subnets: Mapping[str, nn.Module]) -> None:
        """Lets all batches through; other processes are at other subnets meanwhile."""
        for batch in self.batches:
            with SharedPass() if len(self.pass_group) > 1 else nullcontext():
                for task, own in batch.items():
                    if task not in subnets:
                        continue
                    with (
                        seeded(self.seed),
                        task_scope(self.scopes[task], self.solo),
                        in_task(task, 'recalibration', own, subnets[task]),
                    ):
                        # Some heads change the samples that they are given.
                        subnets[task](**copy.deepcopy(own), mode='loss')

    @contextmanager
    def applied(self, subnets: Mapping[str, nn.Module]) -> Generator[None]:
        """Has the statistics of one architecture inside the block, and those of before after it."""
        norms = _norms(subnets)
        before = [_statistics(norm) for norm in norms]
        try:
            self.apply(subnets)
            yield
        finally:
            for norm, state in zip(norms, before):
                norm.load_state_dict({**norm.state_dict(), **state})


def recalibrations(
    cfg: ResolvedConfig,
    model: MultiTaskModel,
    solo: dist.ProcessGroup | None = None,
    pass_groups: Iterable[PassGroup] | None = None,
) -> dict[PassGroup, BatchNormRecalibration]:
    """Pass group -> what its subnets' statistics are estimated with; nothing without
    ``recalibrate_images`` in the joint config.

    Args:
        cfg: the resolved joint config.
        model: the supernet.
        solo: process group of this process alone, where there are more.
        pass_groups: tasks that have one backbone together; by default each is alone.

    Raises:
        ValueError: ``recalibrate_images`` is no number of images.
    """
    images = cfg.get('recalibrate_images', 0)
    if not isinstance(images, int) or images < 0:
        raise ValueError(f'recalibrate_images: {images!r}, expected a number of images')
    if not images:
        return {}
    pass_groups = [(task,) for task in model.tasks] if pass_groups is None else pass_groups
    loaders = {task: cfg.tasks[task].train for task in model.tasks}
    return {
        pass_group: BatchNormRecalibration(model, pass_group, loaders, images, solo=solo)
        for pass_group in pass_groups
    }


def recalibrated(
    estimates: Mapping[PassGroup, BatchNormRecalibration],
    pass_group: PassGroup,
    subnets: Mapping[str, nn.Module],
) -> AbstractContextManager[None]:
    """A block in which the subnets of a pass group have statistics of their own.

    Args:
        estimates: what ``recalibrations`` gives; nothing where batch norms stay as trained.
        pass_group: one of its pass groups.
        subnets: task -> its subnet, of tasks of the pass group.
    """
    return estimates[pass_group].applied(subnets) if estimates else nullcontext()


def norms_of(*models: nn.Module) -> list[BatchNorm]:
    """The batch norms with running statistics of some models, their backbones' too, each once."""
    # A task's model does not own its backbone.
    backbones = [getattr(model, 'backbone', None) for model in models]
    found = {
        module: None
        for model in (*models, *backbones)
        if isinstance(model, nn.Module)
        for module in model.modules()
        if isinstance(module, BatchNorm) and module.track_running_stats
    }
    return list(found)


def _norms(subnets: Mapping[str, Any]) -> list[BatchNorm]:
    """Those of subnets, whose backbone is held beside them."""
    return norms_of(*subnets.values(), *(subnet.backbone for subnet in subnets.values()))


def _statistics(norm: nn.Module) -> dict[str, torch.Tensor]:
    return {name: buffer.clone() for name, buffer in norm.named_buffers()}
