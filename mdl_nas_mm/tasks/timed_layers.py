"""The elastic layers behind a task's backbone, whose time its architecture decides."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from mdl_nas_mm.elastic.head_times import TimedLayer
from mdl_nas_mm.elastic.supernet import Choosing
from mdl_nas_mm.spec import SubnetSpec

from .model import MultiTaskModel


def layers_of(model: MultiTaskModel, task: str, spec: SubnetSpec) -> list[TimedLayer]:
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


def _parts(model: MultiTaskModel, task: str, spec: SubnetSpec) -> dict[str, Choosing]:
    return {name: model.supernet.parts[name] for name, _ in spec.parts}
