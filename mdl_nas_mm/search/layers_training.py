"""Trains a small network of linear layers and ReLUs on one core, in arrays.

Of a batch of 16 and some ten thousand weights, automatic differentiation and an optimizer's
bookkeeping take longer than the arithmetic. Here all weights are one array, and so are their
gradients and moments, so that an update is a few operations for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

Layer = tuple[np.ndarray, np.ndarray]
_BETAS, _EPSILON = (0.9, 0.999), 1e-8


class LayersTraining:
    """Learns by the mean absolute difference (L1), with Adam (Kingma and Ba, 2015).

    Args:
        layers: weight (outputs, inputs) and bias (outputs,) of each linear layer, float32; between
            two of them is a ReLU. They are copied.
        rate: learning rate.

    Attributes:
        layers: as they are at present.
    """

    def __init__(self, layers: Sequence[Layer], rate: float) -> None:
        self._rate, self._steps = rate, 0
        self._weights = np.concatenate([own.ravel() for layer in layers for own in layer])
        self._grads, self._mean, self._square, self._room = (
            np.zeros_like(self._weights) for _ in range(4)
        )
        self.layers = _views(self._weights, layers)
        self._slopes = _views(self._grads, layers)

    def epoch(self, rows: np.ndarray, targets: np.ndarray, batches: Iterable[np.ndarray]) -> None:
        """Takes a step for each batch.

        Args:
            rows: (n, inputs) float32.
            targets: (n, outputs) float32.
            batches: numbers of rows.
        """
        for batch in batches:
            self._differentiate(rows[batch], targets[batch])
            self._update()

    def _differentiate(self, inputs: np.ndarray, targets: np.ndarray) -> None:
        """Fills the gradients of the mean absolute difference."""
        seen = [inputs]
        for weight, bias in self.layers[:-1]:
            found = seen[-1] @ weight.T
            found += bias
            seen.append(np.maximum(found, 0, out=found))
        weight, bias = self.layers[-1]
        slope = np.sign(seen[-1] @ weight.T + bias - targets)
        slope /= targets.size
        for number in reversed(range(len(self.layers))):
            of_weight, of_bias = self._slopes[number]
            np.matmul(slope.T, seen[number], out=of_weight)
            slope.sum(0, out=of_bias)
            if number:
                slope = slope @ self.layers[number][0]
                slope *= seen[number] > 0

    def _update(self) -> None:
        """A step of Adam."""
        self._steps += 1
        first, second = _BETAS
        room, grads = self._room, self._grads
        self._mean *= first
        np.multiply(grads, 1 - first, out=room)
        self._mean += room
        self._square *= second
        np.multiply(grads, grads, out=room)
        room *= 1 - second
        self._square += room
        unbiased = math.sqrt(1 - second**self._steps)
        np.sqrt(self._square, out=room)
        room += _EPSILON * unbiased
        np.divide(self._mean, room, out=room)
        room *= self._rate * unbiased / (1 - first**self._steps)
        self._weights -= room


def _views(flat: np.ndarray, layers: Sequence[Layer]) -> list[Layer]:
    """Parts of an array in the sizes of layers."""
    found, start = [], 0
    for weight, bias in layers:
        middle, end = start + weight.size, start + weight.size + bias.size
        found.append((flat[start:middle].reshape(weight.shape), flat[middle:end]))
        start = end
    return found
