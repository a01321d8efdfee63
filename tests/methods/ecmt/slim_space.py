"""Spaces of a chain of convolutions with a width ratio each, and decoders of the same kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mdl_nas_mm.search.columns import JointColumns
from mdl_nas_mm.spec import Dimensions, SearchSpace
from mdl_nas_mm.spec.dimensions import blocks_of, size

RATIOS = (0.6, 0.7, 0.8, 0.9, 1.0)
TASKS = ('seg', 'depth', 'normals', 'edges')
CHANNELS = 20


@dataclass(frozen=True)
class Layer:
    width: float = size('width')


@dataclass(frozen=True)
class Chain:
    blocks: tuple[Layer, ...] = blocks_of(Layer)


DIMENSIONS = Dimensions(Chain)


def chain(layers: int, ratios=RATIOS) -> SearchSpace:
    return SearchSpace.from_config(dict(depth=layers, width=tuple(ratios)), DIMENSIONS)


def columns_of(encoder: int = 6, decoder: int = 2, tasks=TASKS, ratios=RATIOS) -> JointColumns:
    """The columns of an encoder and of a decoder a task."""
    root = chain(encoder, ratios)
    parts = {task: {f'{task}.decode_head': chain(decoder, ratios)} for task in tasks}
    return JointColumns({task: root.with_parts(parts[task]) for task in tasks})


def multiply_adds(columns: JointColumns):
    """Row -> what convolutions of so many channels take, in plain Python."""

    def widths(numbers, row):
        return [round(CHANNELS * columns.columns[n].choices[row[n]]) for n in numbers]

    def cost(row):
        encoder = [3, *widths(range(columns.encoder), row)]
        total = sum(9 * a * b for a, b in zip(encoder, encoder[1:]))
        for numbers in columns.decoders.values():
            own = [encoder[-1], *widths(numbers, row), 5]
            total += sum(a * b for a, b in zip(own, own[1:]))
        return total

    return cost


def losses_of(columns: JointColumns):
    """Rows -> losses: the wider encoder and the own decoder, the lower; layers count unalike."""
    gains = np.linspace(0.5, 1.5, columns.encoder)

    def losses(rows):
        shared = rows[:, : columns.encoder] @ gains
        own = [rows[:, list(numbers)].sum(1) for numbers in columns.decoders.values()]
        return np.stack([100 - shared - of_task for of_task in own], 1)

    return losses
