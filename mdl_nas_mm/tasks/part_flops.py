"""Multiply-adds of what upstream models have behind their backbones."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.elastic.plain import without_memory
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import SubnetSpec

from .elastic_parts import part_name
from .model import MultiTaskModel
from .scope import task_scope


def counted(module: nn.Module, inputs: Any) -> tuple[Any, int]:
    """What a module gives, and its multiply-adds in matrix products and convolutions."""
    with FlopCounterMode(display=False) as counter:
        outputs = module(inputs)
    return outputs, counter.get_total_flops() // 2


def weightless(model: Mapping) -> MultiTaskModel:
    """A joint model without memory for its weights.

    Args:
        model: its config.
    """
    with task_scope('mdl_nas_mm'), without_memory():
        return MODELS.build(model)


class TaskFlops:
    """Counts the multiply-adds of what a task's model has behind the backbone, on one image.

    Args:
        model: the joint model, without memory for its weights.
        task: its name.
        size: of the image, (height, width).
        modules: names of the modules that count, elastic ones and others.
    """

    def __init__(
        self, model: MultiTaskModel, task: str, size: tuple[int, int], modules: Sequence[str]
    ) -> None:
        self._model, self._task, self._modules = model, task, modules
        self._parts = {
            name: model.supernet.parts[part_name(task, name)]
            for name in modules
            if part_name(task, name) in model.supernet.parts
        }
        self._fixed, self._closed = 0, {}
        self._known: dict[tuple[SubnetSpec, ...], int] = {}
        with self._active(model.spaces[task].largest()):
            # Of any architecture: maps are padded to one width.
            channels = model.backbone.shape.in_channels
            self._features = model.backbone(torch.empty(1, channels, *size, device='meta'))
            for name, module, inputs in self._inputs():
                if name not in self._parts:
                    self._fixed += counted(module, inputs)[1]
                elif 'neck' not in self._parts:
                    self._closed[name] = self._parts[name].flops_on(inputs)

    def __call__(self, spec: SubnetSpec) -> int:
        """Multiply-adds of an architecture of the task."""
        placed = {name: part.placed(spec) for name, part in self._parts.items()}
        key = tuple(placed.values())
        if key not in self._known:
            closed = {name: count for name, count in self._closed.items() if count is not None}
            total = self._fixed + sum(count(placed[name]) for name, count in closed.items())
            if len(closed) < len(placed):
                with self._active(spec):
                    total += sum(
                        counted(module, inputs)[1]
                        for name, module, inputs in self._inputs()
                        if name in placed and name not in closed
                    )
            self._known[key] = total
        return self._known[key]

    @contextmanager
    def _active(self, spec: SubnetSpec) -> Generator[None]:
        with torch.no_grad(), self._model.scope(self._task), activate(self._task, spec):
            yield

    def _inputs(self) -> Iterator[tuple[str, nn.Module, Any]]:
        """The modules that count, and what goes into each."""
        upstream, found = self._model.tasks[self._task], self._features
        neck = getattr(upstream, 'neck', None)
        if 'neck' in self._modules:
            yield 'neck', upstream.neck, found
        if neck is not None:
            found = neck(found)
        for name in self._modules:
            if name != 'neck':
                yield name, getattr(upstream, name), found


class PartFlops:
    """Counts the multiply-adds of elastic necks and heads.

    Args:
        make: makes the joint model, of any weights; it is not called where there are no such parts.
    """

    def __init__(self, make: Callable[[], MultiTaskModel]) -> None:
        self._make = make
        self._of = lru_cache(None)(self._of)

    def __call__(self, task: str, spec: SubnetSpec, size: tuple[int, int]) -> int:
        """Multiply-adds of all elastic parts of a task on one image.

        Args:
            task: whose model.
            spec: its architecture, with parts or without.
            size: of the image, (height, width).
        """
        modules = tuple(name.removeprefix(f'{task}.') for name, _ in spec.parts)
        return self._of(task, modules, tuple(size))(spec) if modules else 0

    def _of(self, task: str, modules: tuple[str, ...], size: tuple[int, int]) -> TaskFlops:
        return TaskFlops(self._model, task, size, modules)

    @cached_property
    def _model(self) -> MultiTaskModel:
        return self._make().eval()
