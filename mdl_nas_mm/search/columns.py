"""Architectures of tasks with one encoder, as rows of whole numbers.

A row has a column for each choice that the spaces leave: first those of the encoder, which is the
backbone of all tasks, then those of each task's elastic parts, its decoder. The number in a column
is the place of a choice among those of its space. So many architectures are counted and judged in a
few array operations.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mdl_nas_mm.spec import JointSpec, SearchSpace, SubnetSpec

from .encoding import Column, Encoder


class JointColumns:
    """The columns of joint specs whose tasks have one backbone.

    Args:
        spaces: task -> its architectures; those of the backbone are the same for all.

    Attributes:
        columns: of a row; of the encoder first.
        encoder: how many of them are the encoder's.
        decoders: task -> the numbers of its columns.
        choices: how many choices there are in each column.

    Raises:
        ValueError: two tasks have different spaces of the backbone.
    """

    def __init__(self, spaces: Mapping[str, SearchSpace]) -> None:
        self.spaces = dict(spaces)
        lead, first = next(iter(self.spaces.items()))
        for task, space in self.spaces.items():
            if space.root != first.root:
                raise ValueError(
                    f'tasks {lead!r} and {task!r} have different spaces of the backbone; a model '
                    'that is controlled has one encoder'
                )
        root = Encoder(first.root.choices()).columns
        self._stages = len(first.root.stages)
        self.columns: list[Column] = list(root)
        self.encoder = len(root)
        self.decoders: dict[str, range] = {}
        self._encoders = {task: Encoder(space.choices()) for task, space in self.spaces.items()}
        for task, encoder in self._encoders.items():
            own = [column for column in encoder.columns if column.stage >= self._stages]
            self.decoders[task] = range(len(self.columns), len(self.columns) + len(own))
            self.columns += own
        self.choices = np.array([len(column.choices) for column in self.columns], np.int64)
        self._depths = self._depth_columns()

    def __len__(self) -> int:
        return len(self.columns)

    def of_task(self, task: str) -> list[int]:
        """The columns that a task's architecture follows from."""
        return [*range(self.encoder), *self.decoders[task]]

    def joint(self, row: np.ndarray) -> JointSpec:
        """The joint spec of a row."""
        return JointSpec({task: self.spec(task, row) for task in self.spaces})

    def spec(self, task: str, row: np.ndarray) -> SubnetSpec:
        """A task's architecture of a row."""
        space = self.spaces[task]
        whole = space.largest().to_dict()
        stages = whole['stages'] + [s for p in whole.get('parts', {}).values() for s in p['stages']]
        for number in self.of_task(task):
            column = self.columns[number]
            value, stage = column.choices[row[number]], stages[column.stage]
            if column.block is None:
                stage[column.key] = value
            elif column.alike:
                stage[column.key] = [value] * len(stage[column.key])
            else:
                stage[column.key][column.block] = value
        for stage, known in zip(stages, space.choices()):
            for key, value in list(stage.items()):
                if key not in known:
                    # A share ratio that equals another one.
                    del stage[key]
                elif isinstance(value, list):
                    stage[key] = value[: stage['depth']]
        return space.read(whole)

    def row(self, joint: Mapping[str, SubnetSpec]) -> np.ndarray:
        """The row of a joint spec; what a shallower architecture does not have is its first choice.

        Raises:
            ValueError: the tasks have different backbones, or one lies outside of its space.
        """
        found = np.zeros(len(self), np.int64)
        roots = {joint[task].root for task in self.spaces}
        if len(roots) > 1:
            raise ValueError('joint spec: its tasks have different backbones, expected one encoder')
        for task in self.spaces:
            found[self.of_task(task)] = self.places(task, joint[task])
        return found

    def places(self, task: str, spec: SubnetSpec) -> np.ndarray:
        """What an architecture of a task has in the columns ``of_task``.

        Raises:
            ValueError: it lies outside of the space.
        """
        return np.maximum(self._encoders[task].places([spec])[0], 0)

    def encoded(self, rows: np.ndarray) -> np.ndarray:
        """(n, columns) numbers in [0, 1], as ``Encoder`` has them, of (n, columns) places."""
        found = ((rows + 1) / self.choices).astype(np.float32)
        for number, depth, choices in self._depths:
            found[choices[rows[:, depth]] <= self.columns[number].block, number] = 0
        return found

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, columns) rows, each choice sampled uniformly."""
        return rng.integers(0, self.choices, (count, len(self)))

    def _depth_columns(self) -> list[tuple[int, int, np.ndarray]]:
        """Columns of blocks that may not be there, the column of their depth, and its choices."""
        found = []
        for numbers in ([*range(self.encoder)], *map(list, self.decoders.values())):
            depths = {self.columns[n].stage: n for n in numbers if self.columns[n].key == 'depth'}
            for number in numbers:
                column = self.columns[number]
                if column.block is not None and column.stage in depths:
                    depth = depths[column.stage]
                    found.append((number, depth, np.array(self.columns[depth].choices)))
        return found
