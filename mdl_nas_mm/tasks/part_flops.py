"""Multiply-adds of what upstream models have behind their backbones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.elastic.plain import without_memory
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import SubnetSpec

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


class PartFlops:
    """Counts the multiply-adds of elastic necks and heads, by running them without memory.

    They are run once for each of their own architectures, and of the channels that they are given.

    Args:
        make: makes the joint model, of any weights; it is not called where there are no such parts.
    """

    def __init__(self, make: Callable[[], MultiTaskModel]) -> None:
        self._make = make
        self._known: dict[tuple, int] = {}
        self._features = lru_cache(None)(self._features)

    def __call__(self, task: str, spec: SubnetSpec, size: tuple[int, int]) -> int:
        """Multiply-adds of all elastic parts of a task on one image.

        Args:
            task: whose model.
            spec: its architecture, with parts or without.
            size: of the image, (height, width).
        """
        if not spec.parts:
            return 0
        parts = self._model.supernet.parts
        key = tuple(parts[name].placed(spec) for name, _ in spec.parts), task, tuple(size)
        if key not in self._known:
            self._known[key] = self._count(task, spec, tuple(size))
        return self._known[key]

    @cached_property
    def _model(self) -> MultiTaskModel:
        return self._make().eval()

    def _count(self, task: str, spec: SubnetSpec, size: tuple[int, int]) -> int:
        model, total = self._model.tasks[task], 0
        modules = [name.removeprefix(f'{task}.') for name, _ in spec.parts]
        with torch.no_grad(), self._model.scope(task), activate(task, spec):
            features = self._features(task, size)
            if getattr(model, 'neck', None) is not None:
                features, flops = counted(model.neck, features)
                total += flops if 'neck' in modules else 0
            for name in modules:
                if name != 'neck':
                    total += counted(getattr(model, name), features)[1]
        return total

    def _features(self, task: str, size: tuple[int, int]) -> tuple[Tensor, ...]:
        """Maps of any architecture: they are padded to one width."""
        with activate(task, self._model.spaces[task].largest()):
            return self._model.backbone(torch.empty(1, 3, *size, device='meta'))
