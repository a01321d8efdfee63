"""What the upstream configs in a deposit may name, and how large a model they may build.

mmengine builds whatever can be imported when a ``type`` names no registered class, and mmcv
evaluates the name of an NMS. So that a file cannot have code run, a ``type`` has to be registered,
or one of mmcv's operators, which upstream looks for by itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import mmcv.ops
import torch
from mmengine import registry as roots
from mmengine.registry import Registry
from torch.overrides import TorchFunctionMode

SCOPES = ('mmengine', 'mmcv', 'mdl_nas_mm', 'mmpretrain', 'mmdet', 'mmseg', 'mmpose')
# Plain data under these keys; a ``type`` there is no class.
_DATA = ('metainfo', 'dataset_info', 'keypoint_info', 'skeleton_info')
_FACTORIES = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.eye)


def check_config(scope: str, config: Any, where: str) -> None:
    """Raises ValueError, naming it, for a ``type`` in a config that is no registered class."""
    for key, name in _types(config, ''):
        parent, _, own = str(name).rpartition('.')
        if key == '_scope_':
            known = name in _scopes()
        elif parent:
            known = parent in _scopes() and _is_registered(own, parent)
        else:
            known = isinstance(name, str) and (
                name in mmcv.ops.__all__ or _is_registered(name, scope)
            )
        if not known:
            raise ValueError(f'{where}: {key} {name!r} is not registered in {scope}')


def check_scope(scope: str, where: str) -> None:
    """Raises ValueError for a scope that is none."""
    if scope not in _scopes():
        raise ValueError(f'{where}: scope {scope!r} is not one of {sorted(_scopes())}')


def _types(config: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Where every class is named, and its name."""
    if isinstance(config, Mapping):
        for key in ('type', '_scope_'):
            if key in config:
                yield f'{path}{key}' if key == 'type' else key, config[key]
        for key, value in config.items():
            if key not in _DATA:
                yield from _types(value, f'{path}{key}.')
    elif isinstance(config, (list, tuple)):
        for item in config:
            yield from _types(item, path)


def _scopes() -> set[str]:
    """The mm libraries', and those of projects that have been imported."""
    return {*SCOPES, *roots.MODELS.children}


def _is_registered(name: str, scope: str) -> bool:
    registries = list(_registries(scope))
    # First without importing what else a library has, then its models, then all.
    if any(name in registry.module_dict for registry in registries):
        return True
    for registry in sorted(registries, key=lambda each: each.name not in ('model', 'task util')):
        registry.import_from_location()
        if name in registry.module_dict:
            return True
    return False


def _registries(scope: str) -> Iterator[Registry]:
    """The registries of a library, and mmengine's own."""
    for module in (f'{scope}.registry', 'mmengine.registry'):
        try:
            found = vars(importlib.import_module(module)).values()
        except ImportError:
            continue
        yield from {id(value): value for value in found if isinstance(value, Registry)}.values()


class SizeLimit(TorchFunctionMode):
    """Refuses to make tensors beyond a number of elements, all together, before they are made.

    Args:
        elements: how many there may be.
        where: what the error begins with.
    """

    def __init__(self, elements: int, where: str) -> None:
        super().__init__()
        self._left, self._where = elements, where

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _FACTORIES:
            self._left -= func(*args, **dict(kwargs, device='meta', out=None)).numel()
            if self._left < 0:
                raise ValueError(f'{self._where} is larger than what is stored of it')
        return func(*args, **kwargs)
