"""Mixed precision where there is no GPU."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from torch import Tensor

from mdl_nas_mm.registry import OPTIM_WRAPPERS
from mdl_nas_mm.tasks import MultiTaskModel

from .recipe_settings import last_name


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """Runs the backbone in bfloat16 on a CPU, where mmengine's ``AmpOptimWrapper`` refuses to.

    Necks and heads stay in float32, which is all that mmcv's operators know on a CPU. bfloat16
    has float32's range, so no loss scale is needed.
    """

    @contextmanager
    def optim_context(self, model: MultiTaskModel) -> Generator[None]:
        """Autocasts the forward passes of the backbone inside the block."""
        forward = model.backbone.forward

        def in_bfloat16(x: Tensor) -> tuple[Tensor, ...]:
            with torch.autocast('cpu', torch.bfloat16):
                return tuple(feature.float() for feature in forward(x))

        model.backbone.forward = in_bfloat16
        try:
            with super().optim_context(model):
                yield
        finally:
            del model.backbone.forward


def use_amp(cfg: Config) -> None:
    """Makes a config train in mixed precision, with the wrapper that this machine can run.

    Raises:
        ValueError: the config has a wrapper of another kind, which would be lost.
    """
    recipe = cfg.optim_wrapper
    kind = recipe.get('type', 'OptimWrapper')
    if last_name(kind) not in ('OptimWrapper', 'AmpOptimWrapper', 'CPUAmpOptimWrapper'):
        raise ValueError(f'--amp would replace optim_wrapper.type {kind!r}; remove one of them')
    recipe.type = 'AmpOptimWrapper' if torch.cuda.is_available() else 'CPUAmpOptimWrapper'
    if recipe.type == 'CPUAmpOptimWrapper':
        # bfloat16 takes no scale, and is what processors have.
        for key in ('loss_scale', 'dtype'):
            recipe.pop(key, None)
