"""Mixed precision where there is no GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from torch import nn

from mdl_nas_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """Runs forward passes in bfloat16 on a CPU, where mmengine's ``AmpOptimWrapper`` refuses to.

    bfloat16 has float32's range, so no loss scale is needed.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocasts a forward pass."""
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield


def use_amp(cfg: Config) -> None:
    """Makes a config train in mixed precision, with the wrapper that this machine can run."""
    cuda = torch.cuda.is_available()
    cfg.optim_wrapper.type = 'AmpOptimWrapper' if cuda else 'CPUAmpOptimWrapper'
