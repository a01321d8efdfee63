"""Caches tensors that depend on sizes alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


def cached(maxsize: int) -> Callable[[Callable], Callable]:
    """Decorator: as ``lru_cache``, for functions of sizes, a device and a dtype to tensors.

    They are computed outside of inference mode, whose tensors no later training step could use.
    While a model is exported, new tensors are stand-ins without values: none is cached.
    """

    def decorate(compute: Callable) -> Callable:
        keep = lru_cache(maxsize)(torch.inference_mode(False)(compute))

        def get(*sizes: Any) -> Any:
            return keep(*sizes) if type(torch.empty(0)) is Tensor else compute(*sizes)

        get.__doc__ = compute.__doc__
        # As functions of lru_cache have them.
        vars(get).update(cache_clear=keep.cache_clear, cache_info=keep.cache_info)
        return get

    return decorate
