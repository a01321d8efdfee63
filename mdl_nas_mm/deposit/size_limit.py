"""How large a model of somebody else's config may become, before it has become so."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook
from torch.overrides import TorchFunctionMode

from mdl_nas_mm.utils.private import leaves, map_leaves

# Elements of buffers and the like that a model has and that are not stored; modules besides.
_UNSTORED = 2**26
_MODULES, _MODULES_A_TENSOR = 4_000, 64
# What is not larger makes nothing large in one step.
_SMALL = 2**12
_FACTORIES = {
    *(torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.eye),
    *(torch.arange, torch.linspace, torch.logspace, torch.randint, torch.randperm),
}


class SizeLimit(TorchFunctionMode):
    """Refuses to make tensors and modules beyond what a file has of a model, before they are made.

    Tensors on the meta device, which are no more than their shapes, count nothing.

    Args:
        elements: how many the file has.
        tensors: in how many tensors.
        where: what the error begins with.
    """

    def __init__(self, elements: int, tensors: int, where: str) -> None:
        super().__init__()
        self._left, self._where = elements + _UNSTORED, where
        self._modules = _MODULES + _MODULES_A_TENSOR * tensors
        self._thread = threading.get_ident()

    def __enter__(self) -> SizeLimit:
        self._hook = register_module_module_registration_hook(self._count)
        return super().__enter__()

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        self._hook.remove()
        super().__exit__(exc_type, exc_val, exc_tb)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _FACTORIES:
            if torch.device(kwargs.get('device') or 'cpu').type != 'meta':
                self._take(func(*args, **dict(kwargs, device='meta', out=None)).numel())
        elif _may_grow(func, args, kwargs):
            self._take(_elements(func, args, kwargs))
        return func(*args, **kwargs)

    def _take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise ValueError(f'{self._where} is larger than what is stored of it')

    def _count(self, module: nn.Module, name: str, submodule: nn.Module) -> None:
        # Hooks are of all threads.
        if threading.get_ident() == self._thread:
            self._modules -= 1
            if self._modules < 0:
                raise ValueError(f'{self._where} has more modules than what is stored of it needs')


def _may_grow(func: Any, args: tuple, kwargs: Mapping) -> bool:
    """Whether a function, other than one that changes a tensor in place, may make a large one."""
    if getattr(func, '__name__', '').endswith('_'):
        return False
    values = leaves((args, dict(kwargs)))
    tensors = [value for value in values if isinstance(value, Tensor)]
    if tensors and all(value.is_meta for value in tensors):
        return False
    return any(
        value.numel() > _SMALL if isinstance(value, Tensor) else value > _SMALL
        for value in values
        if isinstance(value, (Tensor, int, float)) and not isinstance(value, bool)
    )


def _elements(func: Any, args: tuple, kwargs: Mapping) -> int:
    """How many elements a function would give; none where that cannot be told beforehand."""

    def without_memory(value: Any) -> Any:
        return value.to('meta') if isinstance(value, Tensor) else value

    try:
        found = func(*map_leaves(without_memory, args), **map_leaves(without_memory, dict(kwargs)))
    except (RuntimeError, TypeError, ValueError):
        return 0
    return sum(v.numel() for v in leaves(found) if isinstance(v, Tensor) and v.is_meta)
