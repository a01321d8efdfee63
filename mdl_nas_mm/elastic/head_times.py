"""How long a task takes behind its backbone on one machine, by the channels of elastic layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np


class TimedLayer(NamedTuple):
    """A layer of an elastic part in an architecture.

    Attributes:
        name: of its module.
        inputs, channels: that it reads and writes.
    """

    name: str
    inputs: int
    channels: int

    @property
    def terms(self) -> tuple[float, float, float, float]:
        """What its time is a weighted sum of."""
        return 1.0, float(self.inputs), float(self.channels), float(self.inputs * self.channels)


@dataclass(frozen=True)
class HeadTimes:
    """Milliseconds of a batch through a task's neck and head.

    A layer takes a + b inputs + c channels + d inputs channels, fitted to what was measured: of a
    concatenation there are too many widths to measure all of them.

    Attributes:
        rest: of all that has one architecture, or lies before the first elastic layer.
        layers: name of an elastic layer -> a, b, c, d.
        shapes: name of an elastic part -> what is fixed in it, as JSON has it.
    """

    rest: float
    layers: Mapping[str, Sequence[float]]
    shapes: Mapping[str, Any]

    @classmethod
    def fitted(
        cls, runs: Sequence[tuple[float, Mapping[TimedLayer, float]]], shapes: Mapping[str, Any]
    ) -> HeadTimes:
        """Of measured architectures, each with its rest and its layers' milliseconds.

        Relative errors are what is made small.
        """
        found: dict[str, list[tuple[TimedLayer, float]]] = {}
        for _, layers in runs:
            for layer, value in layers.items():
                found.setdefault(layer.name, []).append((layer, max(value, 1e-6)))
        weights = {}
        for name, own in found.items():
            times = np.array([value for _, value in own])
            terms = np.array([layer.terms for layer, _ in own]) / times[:, None]
            weights[name] = np.linalg.lstsq(terms, np.ones(len(own)), rcond=None)[0].tolist()
        return cls(float(np.median([rest for rest, _ in runs])), weights, dict(shapes))

    def predict(self, layers: Sequence[TimedLayer]) -> float:
        """Milliseconds of an architecture with these layers.

        Raises:
            ValueError: a layer was not measured; names it.
        """
        total = self.rest
        for layer in layers:
            if layer.name not in self.layers:
                raise ValueError(f'misses layer {layer.name!r}; measure it again')
            total += max(float(np.dot(self.layers[layer.name], layer.terms)), 0.0)
        return total

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> HeadTimes:
        """Reads ``asdict``'s form, or ValueError, TypeError or LookupError."""
        layers = {str(name): list(map(float, own)) for name, own in data['layers'].items()}
        values = [float(data['rest']), *(value for own in layers.values() for value in own)]
        if not np.isfinite(values).all() or any(len(own) != 4 for own in layers.values()):
            raise ValueError('heads: expected four finite numbers a layer')
        return cls(values[0], layers, dict(data['shapes']))
