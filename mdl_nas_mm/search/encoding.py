"""Architectures as rows of numbers, for what is learned from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mdl_nas_mm.spec import SubnetSpec


class Encoder:
    """Writes an architecture as one number for each choice that its space leaves.

    The first of n choices is 1/n, the last 1, and what a shallower architecture does not have is
    0. Where the blocks of a stage are alike, the first one stands for all.

    Args:
        space: as ``SearchSpace.choices`` gives it.
    """

    def __init__(self, space: Sequence[Mapping[str, Any]]) -> None:
        self.stages = len(space)
        self.columns: list[tuple[int, str, int | None, list]] = []
        for i, stage in enumerate(space):
            alike = bool(stage.get('per_stage', False))
            for key, choices in stage.items():
                if key == 'per_stage':
                    continue
                if not isinstance(choices[0], Sequence):
                    self._add(i, key, None, choices)
                else:
                    for j, of_block in enumerate(choices[:1] if alike else choices):
                        self._add(i, key, j, of_block)

    def __call__(self, specs: Sequence[SubnetSpec]) -> np.ndarray:
        """(len(specs), columns)

        Raises:
            ValueError: an architecture lies outside of the space.
        """
        rows = np.zeros((len(specs), len(self.columns)), np.float32)
        for row, spec in zip(rows, specs):
            whole = spec.to_dict()
            stages = whole['stages'] + [
                stage for part in whole.get('parts', {}).values() for stage in part['stages']
            ]
            if len(stages) != self.stages:
                raise ValueError(f'architecture: {len(stages)} stages, expected {self.stages}')
            for column, (i, key, block, choices) in enumerate(self.columns):
                value = stages[i][key]
                if block is not None:
                    value = value[block] if block < len(value) else None
                if value is not None:
                    row[column] = (_place(value, choices, key) + 1) / len(choices)
        return rows

    def _add(self, stage: int, key: str, block: int | None, choices: Sequence) -> None:
        if len(choices) > 1:
            self.columns.append((stage, key, block, list(choices)))


def _place(value: Any, choices: list, key: str) -> int:
    if value not in choices:
        raise ValueError(f'architecture: {key} {value!r} is not one of {choices}')
    return choices.index(value)
