"""Sums gradients over ranks, in buckets, while the last backward pass of a step still runs.

Each set of parameters has a process group of its own, the ranks of its owners: shared weights all
ranks, a task's own weights the ranks of the task. A parameter that has a gradient on some ranks
only counts as zero on the others; one that has none on any keeps none, so that the optimizer leaves
it alone.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn

from mdl_nas_mm.spec.owners import ALL
from mdl_nas_mm.tasks import MultiTaskModel

from .groups import TaskGroups


@dataclass
class _Bucket:
    """Parameters whose gradients are sent together."""

    parameters: list[nn.Parameter]
    group: dist.ProcessGroup | None
    waiting: set[nn.Parameter] = field(default_factory=set)
    flat: Tensor | None = None
    work: dist.Work | None = None

    def launch(self) -> None:
        """Starts to sum; one more element a parameter tells on how many ranks it has a gradient."""
        present = [float(p.grad is not None) for p in self.parameters]
        grads = [
            (torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in self.parameters
        ]
        flags = torch.tensor(present, device=grads[0].device, dtype=grads[0].dtype)
        self.flat = torch.cat([*grads, flags])
        self.work = dist.all_reduce(self.flat, group=self.group, async_op=True)

    def finish(self) -> None:
        """Waits, and makes the sums the parameters' gradients."""
        assert self.work is not None and self.flat is not None
        self.work.wait()
        sizes = [p.numel() for p in self.parameters]
        *grads, flags = self.flat.split([*sizes, len(sizes)])
        for parameter, grad, count in zip(self.parameters, grads, flags.tolist()):
            parameter.grad = grad.view_as(parameter) if count else None
        self.flat = self.work = None


class GradientReducer:
    """Sums the gradients of sets of parameters, each over its own process group.

    Buckets of a set are sent in the same fixed order on every rank, a bucket as soon as all its
    gradients are there. Sets after the first wait for it where ``serial``: NCCL may not have two
    groups in flight.

    Args:
        sets: (parameters, process group); the shared ones, which all ranks have, first. Empty
            sets and groups of a single rank are left out.
        bucket_bytes: least size of a bucket that is sent.
        serial: whether one set is sent after the other.
    """

    def __init__(
        self,
        sets: Sequence[tuple[Sequence[nn.Parameter], dist.ProcessGroup | None]],
        bucket_bytes: int = 25 * 2**20,
        serial: bool = False,
    ) -> None:
        self.serial = serial
        self.sets: list[list[_Bucket]] = []
        for parameters, group in sets:
            trained = [p for p in parameters if p.requires_grad]
            if trained and dist.get_world_size(group) > 1:
                self.sets.append(_buckets(trained, group, bucket_bytes))
        self.on = False
        for bucket in (bucket for buckets in self.sets for bucket in buckets):
            for parameter in bucket.parameters:
                parameter.register_post_accumulate_grad_hook(
                    lambda p, bucket=bucket: self._ready(p, bucket)
                )

    @contextmanager
    def last_backward(self, untouched: Collection[nn.Parameter] = ()) -> Generator[None]:
        """Wraps the last backward pass of a step, and leaves with the summed gradients.

        Args:
            untouched: parameters that this pass gives no gradient, as far as is known; they need
                not be waited for.
        """
        for bucket in (bucket for buckets in self.sets for bucket in buckets):
            bucket.waiting = set(bucket.parameters).difference(untouched)
        self.on = True
        try:
            self._launch_ready()
            yield
        finally:
            self.on = False
        self._launch_rest_and_finish()

    def _ready(self, parameter: nn.Parameter, bucket: _Bucket) -> None:
        if not self.on:
            return
        if bucket.flat is not None:
            raise RuntimeError('a gradient came after its bucket was sent')
        bucket.waiting.discard(parameter)
        if not bucket.waiting:
            self._launch_ready()

    def _launch_ready(self) -> None:
        for buckets in self.sets[:1] if self.serial else self.sets:
            for bucket in buckets:
                if bucket.flat is None:
                    if bucket.waiting:
                        break
                    bucket.launch()

    def _launch_rest_and_finish(self) -> None:
        """What is left has no gradient in this pass."""
        steps = [[buckets] for buckets in self.sets] if self.serial else [self.sets]
        for sets in steps:
            for buckets in sets:
                for bucket in buckets:
                    if bucket.flat is None:
                        bucket.launch()
            for buckets in sets:
                for bucket in buckets:
                    bucket.finish()


def _buckets(
    parameters: Sequence[nn.Parameter], group: dist.ProcessGroup | None, least: int
) -> list[_Bucket]:
    """In reverse order, roughly that in which gradients come; of one dtype each."""
    buckets, size, dtype = [], least, None
    for parameter in reversed(parameters):
        if size >= least or parameter.dtype != dtype:
            buckets.append(_Bucket([], group))
            size, dtype = 0, parameter.dtype
        buckets[-1].parameters.append(parameter)
        size += parameter.numel() * parameter.element_size()
    return buckets


@torch.no_grad()
def sync_parameters(model: MultiTaskModel, ranks: TaskGroups) -> None:
    """Gives all ranks the weights of the first rank that has them."""
    if ranks.alone:
        return
    for owners, parameters in model.parameters_by_owners().items():
        first, group = ranks.assignment.leader(owners), ranks.group_of(owners)
        for parameter in parameters:
            dist.broadcast(parameter, first, group)
    sync_buffers(model, ranks)


@torch.no_grad()
def sync_buffers(model: MultiTaskModel, ranks: TaskGroups) -> None:
    """Gives all ranks the running statistics of the first one, and those of a task of its first."""
    if ranks.alone:
        return
    for buffer in model.backbone.buffers():
        dist.broadcast(buffer, 0)
    for task in ranks.tasks:
        for buffer in model.tasks[task].buffers():
            dist.broadcast(buffer, ranks.assignment.ranks[task][0], ranks.groups[task])


def sync_batch_norms(model: nn.Module, task: str, ranks: TaskGroups) -> None:
    """Makes a task's synchronised batch norms those of its ranks.

    Raises:
        ValueError: one of the ranks would wait for another that has fewer batches.
    """
    assignment, group = ranks.assignment, ranks.groups[task]
    count = len(assignment.ranks[task])
    norms = [m for m in model.modules() if isinstance(m, nn.SyncBatchNorm)]
    if count == 1:
        # There is nothing to synchronise, and without a GPU torch would refuse to.
        revert_sync_batchnorm(model)
    elif norms and len({len(assignment.parts(task, r)) for r in assignment.ranks[task]}) > 1:
        raise ValueError(
            f'task {task!r}: SyncBN needs as many batches on each rank, but {count} ranks share '
            f'{assignment.batches_per_step[task]}; change groups.{task}'
        )
    for norm in norms:
        norm.process_group = group


def check_backbone_norms(backbone: nn.Module, ranks: TaskGroups) -> None:
    """Raises ValueError for synchronised batch norms in the backbone where it is on several ranks.

    They would wait for each other, and tasks have no equal numbers of passes.
    """
    if ranks.alone or not any(isinstance(m, nn.SyncBatchNorm) for m in backbone.modules()):
        return
    raise ValueError(
        f'backbone: {type(backbone).__name__} has SyncBN, and its ranks run it unequally often; '
        "give it norm_cfg=dict(type='GN', num_groups=32), say, or dict(type='BN'), by which each "
        'rank normalises with its own part of the batch'
    )


@torch.no_grad()
def spread_overflow(model: MultiTaskModel) -> None:
    """Makes every rank see a gradient that is not finite on any of them.

    A loss scaler (fp16) then skips the step everywhere or nowhere. Shared gradients are the same
    on all ranks; those of weights that some tasks own are not.
    """
    grads = {
        owners: [p.grad for p in parameters if p.grad is not None]
        for owners, parameters in model.parameters_by_owners().items()
    }
    shared = grads.pop(ALL)
    own = [grad for group in grads.values() for grad in group]
    finite = [grad.isfinite().all() for grad in own]
    found = 1 - torch.stack(finite).all().float() if finite else shared[0].new_zeros(())
    dist.all_reduce(found, dist.ReduceOp.MAX)
    # New tasks of a base have no gradients of shared weights.
    (shared or own)[0].view(-1)[0] += torch.where(found > 0, torch.inf, 0.0)
