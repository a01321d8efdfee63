"""What one architecture costs one task: multiply-adds, milliseconds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mmengine.logging import print_log

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.latency_table import LatencyTable, Timing
from mdl_nas_mm.spec import SearchSpace, SubnetSpec
from mdl_nas_mm.tasks import validation_size
from mdl_nas_mm.tasks.part_flops import PartFlops
from mdl_nas_mm.tasks.timed_layers import PartTimes


@dataclass(frozen=True)
class Measure:
    """What an architecture costs a task.

    Attributes:
        cost: of an architecture; remembered.
        unit: to show it.
    """

    cost: Callable[[SubnetSpec], float]
    unit: str


def flops_of(
    backbone: ElasticBackbone,
    part_flops: PartFlops,
    task: str,
    images: Mapping,
    size: tuple[int, int] | None = None,
    has_pass: bool = True,
    others: Sequence[str] = (),
) -> Measure:
    """Multiply-adds of a task's backbone and its elastic parts on one image.

    Args:
        backbone: whose architectures are measured.
        part_flops: multiply-adds of a task's elastic parts.
        task: whose images and settings of the backbone.
        images: config of the loader of its images.
        size: (height, width); by default that of the images.
        has_pass: whether the backbone's are counted; else another task's are that it shares.
        others: tasks that share the pass.

    Raises:
        ValueError: no size is known, or what is given is none.
    """
    size = _pair(task, validation_size(images, task) if size is None else size)

    def count(spec: SubnetSpec) -> int:
        own = backbone.flops(task, spec, size, others=others) if has_pass else 0
        return own + part_flops(task, spec, size)

    cost = lru_cache(None)(count)
    return Measure(cost, f'multiply-adds at {size[0]} x {size[1]}')


def latency_of(
    backbone: ElasticBackbone,
    part_times: PartTimes,
    task: str,
    table: LatencyTable,
    size: tuple[int, int] | None,
    space: SearchSpace,
    poor_table: bool = False,
    has_pass: bool = True,
    others: Sequence[str] = (),
) -> Measure:
    """Milliseconds of one batch through a task's backbone, and its neck and head if measured.

    Says which elastic parts are not in it.

    Args:
        backbone: whose architectures are measured.
        part_times: of necks and heads that the table has.
        task: whose settings of the backbone.
        table: without a pass, that of the task that has it.
        size: (height, width), which the table has to be of; by default whatever it is of.
        space: whose choices it has to have.
        poor_table: take it also where its predictions do not follow what was measured.
        has_pass: whether the backbone's time is counted; else another task's is that it shares.
        others: tasks that share the pass.

    Raises:
        ValueError: the table does not fit, or is poor; or the size is none.
    """
    measured = table.timing
    size = _pair(task, measured.input_size if size is None else size)
    if has_pass:
        check_table(table, backbone, task, size, space)
        if not poor_table:
            table.check_useful()
    head = part_times(task, table)
    if space.parts and head is None:
        print_log(
            f'search: {table.name} is of the backbone; it lacks the time of '
            f'{", ".join(dict(space.parts))}, whatever the architecture; mdl-nas latency --heads '
            'measures it',
            'current',
            logging.WARNING,
        )
    unit = f'ms for {measured.batch_size} images on {measured.device}'

    def predict(spec: SubnetSpec) -> float:
        own = table.predict(backbone.needed((task, *others), spec.root)) if has_pass else 0.0
        return own + (head(spec) if head is not None else 0.0)

    return Measure(lru_cache(None)(predict), unit)


def _pair(task: str, size: Sequence[int]) -> tuple[int, int]:
    """A size as the search compares it, or ValueError."""
    sides = size if isinstance(size, (list, tuple)) else ()
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise ValueError(
            f'search: input_size of task {task!r} is {size!r}, expected (height, width)'
        )
    return sides[0], sides[1]


def check_table(
    table: LatencyTable,
    backbone: ElasticBackbone,
    task: str,
    size: tuple[int, int],
    space: SearchSpace,
) -> None:
    """Raises ValueError unless a table is of a task's backbone, of a size, and of all choices.

    On which device, with how many threads and images at once it was measured is its own affair.

    Args:
        table: see ``latency_of``.
        backbone, task, size, space: see ``latency_of``.
    """
    own = {key: getattr(table.timing, key) for key in ('batch_size', 'device', 'threads')}
    table.check(Timing.of(backbone, task, size, **own), space.root)
