"""Gradient clipping by the norm over all tasks, wherever their weights are."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mdl_nas_mm.spec.owners import ALL
from mdl_nas_mm.tasks import MultiTaskModel

from .groups import TaskGroups


def clip_over_all_ranks(model: MultiTaskModel, ranks: TaskGroups) -> Callable[..., Tensor]:
    """What ``torch.nn.utils.clip_grad_norm_`` does in a single process that has all tasks.

    Clipping by the norm of what one rank holds would scale shared weights differently on each.
    """
    by_owners = model.parameters_by_owners()
    shared = by_owners.pop(ALL)
    led = [p for owners, found in by_owners.items() if ranks.leads(owners) for p in found]

    def clip(
        parameters: Iterable[nn.Parameter],
        max_norm: float,
        norm_type: float = 2.0,
        error_if_nonfinite: bool = False,
        foreach: bool | None = None,
    ) -> Tensor:
        if norm_type != 2:
            raise ValueError(f'clip_grad: norm_type {norm_type}, only 2 works over several ranks')
        own = _squares(led, shared[0].device)
        dist.all_reduce(own)
        norm = (_squares(shared, shared[0].device) + own).sqrt()
        if error_if_nonfinite and not norm.isfinite():
            raise RuntimeError(f'clip_grad: the norm of all gradients is {norm.item()}')
        factor = (max_norm / (norm + 1e-6)).clamp(max=1)
        for parameter in parameters:
            # Those without a gradient are not among them.
            assert parameter.grad is not None
            parameter.grad.mul_(factor.to(parameter.grad))
        return norm

    return clip


def _squares(parameters: Iterable[nn.Parameter], device: torch.device) -> Tensor:
    norms = [p.grad.norm() for p in parameters if p.grad is not None]
    return torch.stack(norms).square().sum() if norms else torch.zeros((), device=device)
