"""The tasks' losses of one joint spec on the images that are kept for a search."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from mmengine.model import revert_sync_batchnorm

from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import (
    MultiTaskModel,
    ResolvedConfig,
    joint_evaluations,
    pass_groups_of,
    recalibrated,
    recalibrations,
    task_scope,
)
from mdl_nas_mm.tasks.failures import in_task
from mdl_nas_mm.tasks.group_batch import GroupBatch
from mdl_nas_mm.tasks.pass_groups import PassGroup
from mdl_nas_mm.utils.fetch import local_file
from mdl_nas_mm.utils.files import sha256_of
from mdl_nas_mm.utils.jsonable import to_json
from mdl_nas_mm.utils.private import leaves, without_mixing
from mdl_nas_mm.utils.quiet import quiet
from mdl_nas_mm.utils.randomness import seeded

# Batches that take no more are kept, so that images are decoded once.
_CACHED_BYTES = 2**30


class LossEvaluator:
    """Measures the losses of joint specs; batch norms are estimated for each of them.

    Tasks that share a pass have one pass of the backbone. A loss is the mean over the images with
    the task's label, as its head computes it, before the weight of the task.

    Args:
        model: all tasks of the supernet.
        cfg: ``recalibrate_images`` says from how many training images batch norms are estimated.
        solo: process group of this process alone, where there are more.
        split: on which images, ``search`` or ``val``.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        cfg: ResolvedConfig,
        solo: dist.ProcessGroup | None = None,
        split: Literal['search', 'val'] = 'search',
    ) -> None:
        self.model, self.solo = revert_sync_batchnorm(model.eval()), solo
        self.model.use_parts()
        splits = {}
        for name, task in cfg.tasks.items():
            own = task.search if split == 'search' else task.val
            if own is None:
                raise ValueError(f'task {name!r}: {split}_dataloader, for its losses, is missing')
            splits[name] = own
        pass_groups = pass_groups_of(cfg)
        groups = dict.fromkeys(cfg.tasks, solo)
        with quiet():
            found = joint_evaluations(cfg.tasks, splits, pass_groups, groups)
            every = [group for each in found.values() for group in each.pass_groups]
            self.norms = recalibrations(cfg, self.model, solo, every)
        self.data = [(each.pass_groups, _CachedBatches(each.loader)) for each in found.values()]

    @torch.no_grad()
    def __call__(self, joint: JointSpec) -> dict[str, float]:
        """Task -> its loss.

        Raises:
            ValueError: a loss is not finite, or no image has a task's label.
        """
        found: dict[str, float] = {}
        for pass_groups, batches in self.data:
            for group in pass_groups:
                subnets = self.model.subnets({task: joint[task] for task in group})
                with recalibrated(self.norms, group, subnets), quiet():
                    found |= self._measured(group, subnets, batches)
        return found

    def _measured(
        self, group: PassGroup, subnets: Mapping[str, Any], batches: Iterable[Any]
    ) -> dict[str, float]:
        sums, images = dict.fromkeys(group, 0.0), dict.fromkeys(group, 0)
        for batch in batches:
            own = batch.batches if isinstance(batch, GroupBatch) else {group[0]: batch}
            with SharedPass() if len(group) > 1 else nullcontext():
                for task in group:
                    samples = own[task]
                    if samples is not None:
                        size = len(samples['data_samples'])
                        sums[task] += size * self._loss(task, subnets[task], samples)
                        images[task] += size
        for task in group:
            if not images[task] or not math.isfinite(sums[task]):
                raise ValueError(
                    f'task {task!r}: its loss is {sums[task]} over {images[task]} images, '
                    'expected a finite number over some'
                )
        return {task: sums[task] / images[task] for task in group}

    def _loss(self, task: str, subnet: Any, batch: dict) -> float:
        """The mean loss of a batch. Upstream's preprocessors change what they are given."""
        # Mixed images are of a training alone.
        prepare = without_mixing(subnet.data_preprocessor)
        scope = task_scope(self.model.scopes[task], self.solo)
        with scope, in_task(task, 'losses', batch, subnet), seeded(0):
            # As in a training, where images and labels are padded alike.
            data = prepare(copy.deepcopy(batch), True)
            total, _ = subnet.parse_losses(subnet(**data, mode='loss'))
        return float(total)


def data_of_losses(
    cfg: ResolvedConfig, checkpoint: str | Path, split: Literal['search', 'val'] = 'search'
) -> dict[str, Any]:
    """All that the losses of an architecture depend on, as JSON has it."""
    found = dict(
        # Columns of rows are in their order.
        tasks=list(cfg.tasks),
        checkpoint=sha256_of(local_file(checkpoint)),
        images=to_json(cfg[f'{split}_dataloader']),
        recalibrate_images=cfg.get('recalibrate_images', 0),
        subspace=to_json(cfg.get('subspace')),
        backbone=to_json(cfg.model.backbone),
        models=to_json(cfg.model.tasks),
    )
    # Through JSON and back, so that a tuple equals the list that a file holds.
    return json.loads(json.dumps(found))


class _CachedBatches:
    """A loader whose batches are cached, if they are few."""

    def __init__(self, loader: Iterable[Any]) -> None:
        self.loader = loader
        self.cached: list[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        if self.cached is not None:
            yield from self.cached
            return
        seen, size = [], 0
        for batch in self.loader:
            size += _bytes_of(batch)
            if size <= _CACHED_BYTES:
                seen.append(batch)
            yield batch
        if size <= _CACHED_BYTES:
            self.cached = seen


def _bytes_of(batch: Any) -> int:
    groups = batch.batches.values() if isinstance(batch, GroupBatch) else [batch]
    tensors = [x for own in groups for x in leaves(own) if isinstance(x, torch.Tensor)]
    # Labels of dense tasks are about as much again.
    return 2 * sum(tensor.nbytes for tensor in tensors)
