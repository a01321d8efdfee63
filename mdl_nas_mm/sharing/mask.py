"""The mask policy: a learned score decides by channel (Eq. 8 and 9)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mdl_nas_mm.registry import SHARING_POLICIES
from mdl_nas_mm.spec import Owners, ParamUse, shared_count
from mdl_nas_mm.spec.owners import SCORE, score_name

from .base import Shapes, SharingKind
from .slices import first_rows

THRESHOLDS = ('score', 'ratio')


@SHARING_POLICIES.register_module()
@dataclass(frozen=True)
class Mask(SharingKind):
    """Shares the channels that score well enough.

    Attributes:
        threshold: ``score`` shares the channels whose score is at least the share ratio (Eq. 8);
            ``ratio`` shares the best-scored ``share_ratio`` of the channels, so that the ratio
            is exact. Of equal scores the first is the better one.
    """

    threshold: str = 'score'

    has_scores = True

    def __post_init__(self) -> None:
        if self.threshold not in THRESHOLDS:
            raise ValueError(f'mask threshold {self.threshold!r} is not one of {THRESHOLDS}')

    def levels(self, scores: np.ndarray) -> np.ndarray | None:
        """The scores, where each channel is looked at alone."""
        return scores if self.threshold == 'score' else None

    def shared_channels(
        self, share_ratio: float, channels: int, groups: int, scores: np.ndarray | None
    ) -> np.ndarray:
        """See ``SharingPolicy``."""
        if self.threshold == 'score':
            return super().shared_channels(share_ratio, channels, groups, scores)
        assert scores is not None
        scores = scores.reshape(groups, -1)[:, :channels]
        count = shared_count(share_ratio, channels)
        best = np.argsort(-scores, axis=1, kind='stable')[:, :count]
        shared = np.zeros(scores.shape, bool)
        np.put_along_axis(shared, best, True, axis=1)
        return shared

    def scores_for(self, shared: np.ndarray) -> np.ndarray:
        """Above every share ratio, and below."""
        return 2.0 * shared - 1.0

    def used_scores(self, use: ParamUse, owners: Owners) -> Iterator[tuple[str, np.ndarray]]:
        """The score of each channel in use."""
        every = np.ones((use.groups, use.channels), bool)
        yield score_name(use.layer), replace(use, columns=1).row_lengths(every)

    def shared_shapes(self, shapes: Shapes) -> dict[str, tuple[int, ...]]:
        """A score for each channel beside the weights."""
        return {**shapes, SCORE: next(iter(shapes.values()))[:1]}

    def initial(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Scores are uniform in [0, 1]."""
        return torch.rand(shape) if name == SCORE else super().initial(name, shape)

    def choose(
        self, channels: int, groups: int, share_ratio: float, scores: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Scores of the channels in use, and which of these are shared; both (groups, channels)."""
        assert scores is not None
        scores = scores.view(groups, -1)[:, :channels]
        return scores, self.mask(scores, share_ratio)

    def mask(self, scores: Tensor, share_ratio: float) -> Tensor:
        """Boolean (groups, channels): which channels are shared (Eq. 8 and 9)."""
        if self.threshold == 'score':
            # Otherwise the ratio is rounded to the scores' type, here but not in the ledger.
            return scores.float() >= share_ratio
        count = shared_count(share_ratio, scores.shape[1])
        best = scores.argsort(dim=1, descending=True, stable=True)[:, :count]
        return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, best, True)

    def merge(
        self, shared: Tensor, specific: Tensor, sizes: Sequence[int], choice: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Shared and specific rows, as the mask says."""
        return _MaskedMerge.apply(first_rows(shared, sizes), first_rows(specific, sizes), *choice)


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
    def backward(ctx, *grads: Tensor):
        (grad,) = grads
        shared, specific, chosen = ctx.saved_tensors
        of_shared = of_specific = of_scores = None
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            of_shared = grad * chosen
            of_specific = grad - of_shared
        if ctx.needs_input_grad[2]:
            of_scores = (shared - specific).mul_(grad).reshape(*chosen.shape[:2], -1).sum(-1)
        return of_shared, of_specific, of_scores, None
