"""Architectures as rows of numbers, for what is learned from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mdl_nas_mm.spec import SubnetSpec


@dataclass(frozen=True)
class Column:
    """One choice that a space leaves.

    Attributes:
        stage: its number.
        key: of the dimension, or ``depth``.
        block: its number in the stage; None for a dimension of the whole stage.
        choices: what there is to choose from.
        alike: whether the first block stands for all of its stage.
    """

    stage: int
    key: str
    block: int | None
    choices: tuple[float, ...]
    alike: bool = False


class Encoder:
    """Writes an architecture as one number for each choice that its space leaves.

    The first of n choices is 1/n, the last 1, and what a shallower architecture does not have is
    0. Where the blocks of a stage are alike, the first one stands for all.

    Args:
        space: as ``SearchSpace.choices`` gives it.
    """

    def __init__(self, space: Sequence[Mapping[str, Any]]) -> None:
        self.stages = len(space)
        self.columns: list[Column] = []
        for i, stage in enumerate(space):
            alike = bool(stage.get('per_stage', False))
            for key, choices in stage.items():
                if key == 'per_stage':
                    continue
                if not isinstance(choices[0], Sequence):
                    self._add(Column(i, key, None, tuple(choices)))
                else:
                    for j, of_block in enumerate(choices[:1] if alike else choices):
                        self._add(Column(i, key, j, tuple(of_block), alike))

    def __call__(self, specs: Sequence[SubnetSpec]) -> np.ndarray:
        """(len(specs), columns)

        Raises:
            ValueError: an architecture lies outside of the space.
        """
        counts = np.array([len(column.choices) for column in self.columns])
        return ((self.places(specs) + 1) / counts).astype(np.float32)

    def places(self, specs: Sequence[SubnetSpec]) -> np.ndarray:
        """(len(specs), columns): which of its choices each is, -1 for what is not there.

        Raises:
            ValueError: an architecture lies outside of the space.
        """
        rows = np.full((len(specs), len(self.columns)), -1, np.int64)
        for row, spec in zip(rows, specs):
            whole = spec.to_dict()
            stages = whole['stages'] + [
                stage for part in whole.get('parts', {}).values() for stage in part['stages']
            ]
            if len(stages) != self.stages:
                raise ValueError(f'architecture: {len(stages)} stages, expected {self.stages}')
            for number, column in enumerate(self.columns):
                value = stages[column.stage][column.key]
                if not stages[column.stage]['depth']:
                    value = None
                elif column.block is not None:
                    value = value[column.block] if column.block < len(value) else None
                if value is not None:
                    row[number] = _place(value, column.choices, column.key)
        return rows

    def _add(self, column: Column) -> None:
        if len(column.choices) > 1:
            self.columns.append(column)


def _place(value: Any, choices: tuple, key: str) -> int:
    if value not in choices:
        raise ValueError(f'architecture: {key} {value!r} is not one of {list(choices)}')
    return choices.index(value)
