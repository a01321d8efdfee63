"""What an encoder and the decoders of all tasks cost together, of many architectures at once.

The encoder counts once: it runs once for all tasks. Heads of one width are in it as well. What a
slimmable decoder costs depends on how many channels the encoder gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from mdl_nas_mm.elastic.latency_table import LatencyTable
from mdl_nas_mm.search.columns import JointColumns
from mdl_nas_mm.search.measures import check_table
from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.spec.layout import names_of_some
from mdl_nas_mm.tasks import MultiTaskModel
from mdl_nas_mm.tasks.part_flops import TaskFlops
from mdl_nas_mm.tasks.timed_layers import head_time
from mdl_nas_mm.utils.budgets import MACS, MILLISECONDS, PARAMS

from .tabled import TabledCost

Size = tuple[int, int]


@dataclass(frozen=True)
class JointCost:
    """A sum of costs of some columns each.

    Attributes:
        unit: of the total.
        parts: the numbers of columns, and what they cost.
        without: tasks whose necks and heads are not in it.
    """

    unit: str
    parts: Sequence[tuple[Sequence[int], TabledCost]]
    without: Sequence[str] = ()

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """(n,) costs of (n, columns) places."""
        return sum((cost(rows[:, list(own)]) for own, cost in self.parts), np.zeros(len(rows)))

    def __str__(self) -> str:
        return self.unit


def joint_cost(
    unit: str,
    columns: JointColumns,
    encoder: Callable[[SubnetSpec], float],
    decoder: Callable[[str, SubnetSpec], float] | None = None,
    read: Mapping[str, Sequence[int]] | None = None,
) -> JointCost:
    """The cost of an encoder and all decoders.

    Args:
        unit: of the cost.
        columns: of the rows.
        encoder: architecture of the backbone -> what it costs.
        decoder: task, its architecture -> what all that is its own costs; None if it is not known.
        read: task -> the encoder's columns that this depends on, see ``columns_read``; by default
            none.
    """

    def spec_of(task: str, numbers: Sequence[int], places: np.ndarray) -> SubnetSpec:
        row = columns.choices - 1
        row[list(numbers)] = places
        return columns.spec(task, row)

    lead, numbers = next(iter(columns.spaces)), list(range(columns.encoder))
    of_encoder = TabledCost(
        lambda places: encoder(spec_of(lead, numbers, places).root),
        columns.choices[numbers].tolist(),
    )
    parts: list[tuple[Sequence[int], TabledCost]] = [(numbers, of_encoder)]
    if decoder is None:
        return JointCost(unit, parts)
    for task, behind in columns.decoders.items():
        own = [*(read or {}).get(task, ()), *behind]
        of_task = partial(spec_of, task, own)
        cost = TabledCost(
            lambda places, task=task, of_task=of_task: decoder(task, of_task(places)),
            columns.choices[own].tolist(),
        )
        parts.append((own, cost))
    return JointCost(unit, parts)


def columns_read(model: MultiTaskModel, columns: JointColumns) -> dict[str, list[int]]:
    """Task -> the encoder's columns that the channels depend on that its decoder is given."""
    top, found = columns.choices - 1, {}
    for task, space in columns.spaces.items():
        own = [model.supernet.parts[name] for name in dict(space.parts)]

        def given(row: np.ndarray, task: str = task, own: list = own) -> list[SubnetSpec]:
            return [part.placed(columns.spec(task, row)) for part in own]

        found[task], whole = [], given(top)
        for number in range(columns.encoder):
            row = top.copy()
            row[number] = 0
            if given(row) != whole:
                found[task].append(number)
    return found


def multiply_adds(
    model: MultiTaskModel, columns: JointColumns, sizes: Mapping[str, Size]
) -> JointCost:
    """Multiply-adds of one image, of which all tasks are asked.

    Args:
        model: of any weights, or without memory for them.
        columns: of the rows.
        sizes: task -> (height, width) of its images; the encoder's are those of the first of
            ``columns``.
    """
    lead, behind = next(iter(columns.spaces)), {}
    for task, size in sizes.items():
        upstream = model.tasks[task]
        modules = [n for n in ('neck', 'decode_head', 'head') if getattr(upstream, n, None)]
        behind[task] = TaskFlops(model, task, size, modules)

    def decoder(task: str, spec: SubnetSpec) -> int:
        return behind[task](spec)

    def encoder(root: SubnetSpec) -> int:
        return model.backbone.flops(lead, root, sizes[lead], others=tuple(sizes))

    return joint_cost(MACS, columns, encoder, decoder, columns_read(model, columns))


def parameters(model: MultiTaskModel, columns: JointColumns) -> JointCost:
    """Weights of an encoder and the decoders of all tasks.

    Raises:
        ValueError: the backbone has weights of single tasks, or some tasks share necks or heads.
    """
    if model.backbone.sharing.has_specific:
        raise ValueError(
            "backbone.sharing: an encoder that is controlled is shared by all tasks, 'AllShared'"
        )
    some = names_of_some(model.backbone.layout)
    if some:
        raise ValueError(
            f'backbone: {min(some)!r} is of a single task, and an encoder that is controlled is '
            'shared by all'
        )
    if model.held_parts:
        raise ValueError('parts: tasks that share necks or heads are not controlled')
    supernet, heads, tasks = model.supernet, model.head_sizes(), tuple(columns.spaces)

    def encoder(root: SubnetSpec) -> int:
        needed = model.backbone.needed(tasks, root)
        return sum(use.size for use in model.backbone.layout.uses(needed))

    def decoder(task: str, spec: SubnetSpec) -> int:
        own = (supernet.parts[name] for name, _ in spec.parts)
        uses = (use for part in own for use in part.layout.uses(part.placed(spec)))
        return heads.get(task, 0) + sum(use.size for use in uses)

    return joint_cost(PARAMS, columns, encoder, decoder, columns_read(model, columns))


def milliseconds(
    model: MultiTaskModel, columns: JointColumns, sizes: Mapping[str, Size], table: LatencyTable
) -> JointCost:
    """Milliseconds on one machine of the encoder, and of the necks and heads that a table knows.

    Args:
        model: without memory for its weights, or with.
        columns: of the rows.
        sizes: task -> (height, width) of its images; the encoder's are those of the first of
            ``columns``.
        table: what ``mdl-nas latency`` measured for the first task.

    Raises:
        ValueError: it is of another space, size or setting of the encoder, of other heads, or
            predicts badly.
    """
    (lead, space), tasks = next(iter(columns.spaces.items())), tuple(columns.spaces)
    check_table(table, model.backbone, lead, sizes[lead], space.root)
    table.check_useful()
    without = tuple(task for task in tasks if task not in table.heads)

    def encoder(root: SubnetSpec) -> float:
        return table.predict(model.backbone.needed(tasks, root))

    if not table.heads:
        return replace(joint_cost(MILLISECONDS, columns, encoder), without=without)
    known = {task: head_time(model, task, table) for task in table.heads}

    def decoder(task: str, spec: SubnetSpec) -> float:
        return known[task](spec) if task in known else 0.0

    cost = joint_cost(MILLISECONDS, columns, encoder, decoder, columns_read(model, columns))
    return replace(cost, without=without)
