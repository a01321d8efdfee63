"""Puts a task's weight together from the shared and its specific one (Eq. 4-9)."""

from __future__ import annotations

import torch
from torch import Tensor

from mdl_nas_mm.spec import Policy, shared_count


def merge(
    policy: Policy,
    shared: Tensor | None,
    specific: Tensor | None,
    share_ratio: float,
    scores: Tensor | None = None,
) -> Tensor:
    """The weight that one task uses.

    Args:
        shared: slice of the shared weight, (groups, channels) or (groups, channels, columns).
        specific: slice of the task's own weight, of the same shape.
        scores: slice of the layer's scores, (groups, channels), under the mask policy.
    """
    if policy.type == 'Mask':
        mask = shared_mask(policy, scores, share_ratio)
        return _MaskedMerge.apply(shared, specific, scores, mask)
    if not policy.has_specific:
        return shared
    if not policy.has_shared:
        return specific
    channels = shared.shape[1]
    count = policy.num_shared(share_ratio, channels)
    if count in (0, channels):
        return shared if count else specific
    return torch.cat((shared[:, :count], specific[:, count:]), dim=1)


def shared_mask(policy: Policy, scores: Tensor, share_ratio: float) -> Tensor:
    """Boolean (groups, channels): which channels the mask policy shares (Eq. 8 and 9)."""
    if policy.threshold == 'score':
        return scores >= share_ratio
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
        ctx.save_for_backward(shared, specific, mask)
        return torch.where(_like(mask, shared), shared, specific)

    @staticmethod
    def backward(ctx, grad: Tensor):
        shared, specific, mask = ctx.saved_tensors
        rows = _like(mask, grad)
        grad_scores = None
        if ctx.needs_input_grad[2]:
            grad_scores = (grad * (shared - specific)).reshape(*mask.shape, -1).sum(-1)
        grad_shared = grad.masked_fill(~rows, 0) if ctx.needs_input_grad[0] else None
        grad_specific = grad.masked_fill(rows, 0) if ctx.needs_input_grad[1] else None
        return grad_shared, grad_specific, grad_scores, None


def _like(mask: Tensor, weight: Tensor) -> Tensor:
    return mask if weight.dim() == mask.dim() else mask[..., None]
