"""The distribution of a task's skeletons, and how it is relaxed (Eq. 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from mdl_nas_mm.utils.amounts import check_count, is_number

# How fast the mean weight of a skeleton follows: some 100 steps.
_FOLLOWS = 0.01


@dataclass(frozen=True)
class Temperature:
    """From ``start`` to ``end`` over ``steps`` steps, by the same factor in each, then ``end``.

    The paper begins with 5 and anneals "down to 0", which no softmax has; it tells no schedule.

    Attributes:
        steps: of the training.
        start, end: the temperature before the first of them and from the last one on.
    """

    steps: int
    start: float = 5.0
    end: float = 0.1

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Temperature:
        """From the arguments that a config gives.

        Raises:
            ValueError: these are none, one is no number, or the temperature rises.
        """
        known = [field.name for field in fields(cls)]
        if not isinstance(config, Mapping) or not {'steps'} <= set(config) <= set(known):
            raise ValueError(
                f'train_cfg.step.temperature: {config!r}, expected a dict with steps, and start '
                'and end'
            )
        for key, value in config.items():
            if not is_number(value) or value != value:
                raise ValueError(
                    f'train_cfg.step.temperature: {key} is {value!r}, expected a number'
                )
        return cls(**config)

    def __post_init__(self) -> None:
        where = f'train_cfg.step.temperature: from {self.start} to {self.end}'
        if not self.end > 0:
            raise ValueError(f'{where}: has to stay above 0')
        if self.end > self.start:
            raise ValueError(f'{where}: it rises, has to fall')
        check_count('train_cfg.step.temperature', 'steps', self.steps, 1)

    def __call__(self, iteration: int) -> float:
        """The temperature of a step."""
        done = min(iteration / self.steps, 1.0)
        return self.start * (self.end / self.start) ** done


def gumbel(count: int, seed: int) -> Tensor:
    """Independent samples (count,) of the Gumbel distribution (0, 1)."""
    generator = torch.Generator().manual_seed(seed)
    return -torch.empty(count).exponential_(generator=generator).log()


class SkeletonLogits(nn.Module):
    """What one task's skeletons are weighted by: learned logits, the log of pi up to a constant.

    Args:
        count: skeletons.
        threshold: one whose weight, averaged over some 100 steps, falls below it, is left out from
            then on; None keeps all.

    Attributes:
        mean: of the weights (count,).
        left: which skeletons are still there (count,).
    """

    mean: Tensor
    left: Tensor

    def __init__(self, count: int, threshold: float | None = None) -> None:
        super().__init__()
        if threshold is not None and (
            not isinstance(threshold, (int, float)) or not 0 < threshold < 1 / count
        ):
            raise ValueError(
                f'train_cfg.step: leave_out {threshold!r}, expected from 0 to 1 / {count}, the '
                'weight of each skeleton at the beginning'
            )
        self.threshold = threshold
        self.logits = nn.Parameter(torch.zeros(count))
        self.register_buffer('mean', torch.full((count,), 1 / count))
        self.register_buffer('left', torch.ones(count, dtype=torch.bool))

    def forward(self, noise: Tensor, temperature: float) -> Tensor:
        """Weights (count,) that add up to 1 (Eq. 4); 0 of those that are left out.

        Args:
            noise: Gumbel samples (count,).
            temperature: tau.
        """
        scores = (self.logits + noise.to(self.logits)) / temperature
        return scores.masked_fill(~self.left, -torch.inf).softmax(0)

    @torch.no_grad()
    def observe(self, weights: Tensor) -> None:
        """Told the weights (count,) of a pass; those below the threshold are left out from now."""
        self.mean.lerp_(weights, _FOLLOWS)
        if self.threshold is not None:
            self.left &= self.mean >= self.threshold

    @property
    def probabilities(self) -> Tensor:
        """pi (count,)."""
        return self.logits.detach().masked_fill(~self.left, -torch.inf).softmax(0)

    @property
    def best(self) -> int:
        """The number of the likeliest skeleton."""
        return int(self.probabilities.argmax())

    @property
    def entropy(self) -> Tensor:
        """Of pi, in nats: the log of their number at the beginning, 0 when one is chosen."""
        return torch.special.entr(self.probabilities).sum()
