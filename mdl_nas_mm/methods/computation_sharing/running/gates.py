"""Which rows a difference of weights matters for, told before they are computed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Of a logarithm: a row of no change at all.
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Gate:
    """Predicts from a part's inputs how much the difference of its weights changes its outputs.

    Attributes:
        weight: (C,).
        bias: a number.
    """

    weight: Tensor
    bias: Tensor

    def __call__(self, inputs: Tensor) -> Tensor:
        """Root mean square (R,) of the outputs' change over that of all outputs, of (R, C)."""
        return (inputs @ self.weight.to(inputs) + self.bias.to(inputs)).exp()


def fit_gate(inputs: Tensor, changes: Tensor, outputs: Tensor, ridge: float = 1e-2) -> Gate:
    """Ridge regression of the logarithm of the change.

    Args:
        inputs: of the base's part, (R, C).
        changes: what the task's weights give of them minus what the base's do, (R, D).
        outputs: what the base's give, (R, D).
        ridge: penalty of the weight, over the variance of the inputs.
    """
    scale = outputs.square().mean().sqrt()
    target = (changes.square().mean(dim=1).sqrt() / scale).clamp_min(_TINY).log().double()
    x = inputs.double()
    mean, target_mean = x.mean(dim=0), target.mean()
    centred = x - mean
    gram = centred.T @ centred / len(x)
    penalty = ridge * gram.diagonal().mean().clamp_min(_TINY)
    gram.diagonal().add_(penalty)
    weight = torch.linalg.solve(gram, centred.T @ (target - target_mean) / len(x))
    bias = target_mean - mean @ weight
    return Gate(weight.to(inputs.dtype), bias.to(inputs.dtype))
