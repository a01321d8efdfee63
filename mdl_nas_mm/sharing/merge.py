"""Puts a task's weight together from the shared and its specific one (Eq. 4-9)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mdl_nas_mm.spec import Policy, shared_count


def merge(
    policy: Policy,
    shared: Tensor | None,
    specific: Tensor | None,
    sizes: Sequence[int],
    share_ratio: float,
    scores: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The weight that one task uses.

    Args:
        shared: the shared weight, (groups, rows) or (groups, rows, columns).
        specific: the task's own weight, of the same shape.
        sizes: how much of them is used, (channels,) or (channels, columns).
        scores, mask: those of the layer's channels, (groups, channels), under the mask policy;
            see ``shared_mask``.
    """
    channels = sizes[0]
    if policy.type == 'Mask':
        whole = (_rows(weight, 0, channels, sizes) for weight in (shared, specific))
        return _MaskedMerge.apply(*whole, scores, mask)
    count = policy.num_shared(share_ratio, channels)
    if count in (0, channels):
        return _rows(shared if count else specific, 0, channels, sizes)
    parts = _rows(shared, 0, count, sizes), _rows(specific, count, channels, sizes)
    return torch.cat(parts, dim=1)


def _rows(weight: Tensor, start: int, stop: int, sizes: Sequence[int]) -> Tensor:
    """Rows ``start`` to ``stop`` of each group, of each its first columns.

    One view, not a slice for each dimension: the gradient of every slice is a tensor of zeros
    as large as what it was taken from.
    """
    shape = (len(weight), stop - start, *sizes[1:])
    if shape == weight.shape:
        return weight
    offset = weight.storage_offset() + start * weight.stride(1)
    return weight.as_strided(shape, weight.stride(), offset)


def shared_mask(policy: Policy, scores: Tensor, share_ratio: float) -> Tensor:
    """Boolean (groups, channels): which channels the mask policy shares (Eq. 8 and 9)."""
    if policy.threshold == 'score':
        # Otherwise the ratio is rounded to the scores' type, here but not in the ledger.
        return scores.float() >= share_ratio
    count = shared_count(share_ratio, scores.shape[1])
    best = scores.argsort(dim=1, descending=True, stable=True)[:, :count]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, best, True)


class _MaskedMerge(torch.autograd.Function):
    """Chooses between two weights by channel, with the straight-through gradient of the scores.

    The indicator counts as the identity in the backward pass (supplement, Eq. 7), so that
    dL/dS_j is the sum over row j of dL/dw * (W - W_spe).
    """

    @staticmethod
    def forward(ctx, shared: Tensor, specific: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
        # Zeros and ones choose several times as fast as truth values do; of finite numbers as
        # exactly.
        chosen = mask.to(shared.dtype)
        if shared.dim() > chosen.dim():
            chosen = chosen[..., None]
        ctx.save_for_backward(shared, specific, chosen)
        return torch.lerp(specific, shared, chosen)

    @staticmethod
    def backward(ctx, grad: Tensor):
        shared, specific, chosen = ctx.saved_tensors
        of_shared = of_specific = of_scores = None
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            of_shared = grad * chosen
            of_specific = grad - of_shared
        if ctx.needs_input_grad[2]:
            of_scores = (shared - specific).mul_(grad).reshape(*chosen.shape[:2], -1).sum(-1)
        return of_shared, of_specific, of_scores, None
