"""Hard-concrete gates: how likely an element of a difference is there at all.

C. Louizos et al., "Learning Sparse Neural Networks through L0 Regularization", ICLR 2018, with
the temperature 1 and the interval of D. Guo et al., "Parameter-Efficient Transfer Learning with
Diff Pruning", ACL 2021.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

# A logistic number is stretched to this interval, and cut to 0 and 1.
LOW, HIGH = -1.5, 1.5
# Gates begin open: their expected number of zeros is small.
START = 5.0
# Uniform numbers keep so far from 0 and 1, where their logits are infinite.
MARGIN = 1e-4
GRAINS = ('elements', 'rows', 'layers')


def sample(logits: Tensor, uniform: Tensor) -> Tensor:
    """Gates from 0 to 1, differentiable in the logits.

    Args:
        logits: any shape.
        uniform: numbers from 0 to 1 of the same shape.
    """
    uniform = uniform * (1 - 2 * MARGIN) + MARGIN
    return _stretched(torch.sigmoid(uniform.logit() + logits))


def settled(logits: Tensor) -> Tensor:
    """The gates without chance, for evaluation (Louizos et al., Eq. 13): those at the median."""
    return _stretched(torch.sigmoid(logits))


def nonzero_probability(logits: Tensor) -> Tensor:
    """How likely a gate is not zero (Louizos et al., Eq. 12)."""
    return torch.sigmoid(logits - math.log(-LOW / HIGH))


def _stretched(values: Tensor) -> Tensor:
    return (values * (HIGH - LOW) + LOW).clamp(0, 1)


class Gates(nn.Module):
    """The gates of one weight's difference: of elements, output channels and the whole layer.

    An element is there if all of its gates are, which are multiplied.

    Args:
        shape: (rows, columns) of the weight.
        grains: which of ``GRAINS`` there are.
    """

    def __init__(self, shape: tuple[int, int], grains: Collection[str]) -> None:
        super().__init__()
        rows, columns = shape
        sizes = dict(elements=(rows, columns), rows=(rows, 1), layers=(1, 1))
        for grain in GRAINS:
            if grain in grains:
                self.register_parameter(grain, nn.Parameter(torch.full(sizes[grain], START)))
        self.shape = shape

    @property
    def logits(self) -> Mapping[str, nn.Parameter]:
        """Grain -> (rows or 1, columns or 1)."""
        return dict(self.named_parameters())

    def sample(self, generator: torch.Generator) -> Tensor:
        """Gates that broadcast to the weight's shape."""
        product = None
        for logits in self.logits.values():
            given = dict(generator=generator, device=logits.device, dtype=logits.dtype)
            gates = sample(logits, torch.rand(logits.shape, **given))
            product = gates if product is None else product * gates
        assert product is not None
        return product

    def settled(self) -> Tensor:
        """Gates without chance, that broadcast to the weight's shape."""
        product = None
        for logits in self.logits.values():
            product = settled(logits) if product is None else product * settled(logits)
        assert product is not None
        return product

    def expected_elements(self, rows: Tensor) -> Tensor:
        """The expected number of elements that are not zero, (): the L0 penalty (Eq. 7).

        Args:
            rows: boolean (rows,), which output channels may differ.
        """
        of_rows = rows.to(next(self.parameters()))[:, None]
        logits = self.logits
        if 'elements' in logits:
            of_rows = of_rows * nonzero_probability(logits['elements']).sum(1, keepdim=True)
        else:
            of_rows = of_rows * self.shape[1]
        if 'rows' in logits:
            of_rows = of_rows * nonzero_probability(logits['rows'])
        total = of_rows.sum()
        return total * nonzero_probability(logits['layers'])[0, 0] if 'layers' in logits else total


def check_grains(grains: Collection[str]) -> tuple[str, ...]:
    """Raises ValueError unless these are some of ``GRAINS``; gives them in their order."""
    if isinstance(grains, str) or not grains or not set(grains) <= set(GRAINS):
        raise ValueError(f'train_cfg.step.gates: {grains!r}, expected some of {GRAINS}')
    return tuple(grain for grain in GRAINS if grain in grains)
