"""The elastic layers behind a task's backbone, whose time its architecture decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from typing import Any

from mdl_nas_mm.elastic.head_times import TimedLayer
from mdl_nas_mm.elastic.latency_table import LatencyTable
from mdl_nas_mm.elastic.supernet import Choosing
from mdl_nas_mm.spec import SubnetSpec

from .model import MultiTaskModel


def timed_layers_of(model: MultiTaskModel, task: str, spec: SubnetSpec) -> list[TimedLayer]:
    """The elastic layers behind a task's backbone, in the order in which they run.

    Raises:
        ValueError: an elastic part does not tell its layers.
    """
    found = []
    for name, part in _parts(model, task, spec).items():
        own = part.timed_layers(part.placed(spec))
        if own is None:
            raise ValueError(
                f'latency: {name}: {type(part).__name__} does not tell which of its layers take '
                'time (timed_layers); leave its task out of --heads'
            )
        module = name.removeprefix(f'{task}.')
        found += [layer._replace(name=f'{module}.{layer.name}') for layer in own]
    return found


def shapes_of(model: MultiTaskModel, task: str) -> dict[str, Any]:
    """Name of each of a task's elastic parts -> what is fixed in it, as JSON has it."""
    parts = _parts(model, task, model.spaces[task].largest())
    return {n: json.loads(json.dumps(asdict(part.layout.shape))) for n, part in parts.items()}


def head_time(
    model: MultiTaskModel, task: str, table: LatencyTable
) -> Callable[[SubnetSpec], float]:
    """Milliseconds of a task's neck and head, by a table that has them.

    Raises:
        ValueError: it was measured with other elastic parts.
    """
    times, shapes = table.heads[task], shapes_of(model, task) if task in model.spaces else {}
    if shapes != times.shapes:
        raise ValueError(
            f'{table.name}: the head of task {task!r} was measured with {times.shapes}, not '
            f'{shapes}; measure it again with mdl-nas latency'
        )
    return lambda spec: times.predict(timed_layers_of(model, task, spec))


class PartTimes:
    """Predicts the time of necks and heads that tables have measured.

    Args:
        make: makes the joint model, of any weights; it is not called where no table has heads.
    """

    def __init__(self, make: Callable[[], MultiTaskModel]) -> None:
        self._make = make

    def __call__(self, task: str, table: LatencyTable) -> Callable[[SubnetSpec], float] | None:
        """Milliseconds of an architecture's neck and head; None where the table has none of it.

        Raises:
            ValueError: see ``head_time``.
        """
        return head_time(self._model, task, table) if task in table.heads else None

    @cached_property
    def _model(self) -> MultiTaskModel:
        return self._make().eval()


def _parts(model: MultiTaskModel, task: str, spec: SubnetSpec) -> dict[str, Choosing]:
    return {name: model.supernet.parts[name] for name, _ in spec.parts}
