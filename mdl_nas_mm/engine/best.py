"""mmengine's hooks that look for the best validation, made to know ``s_score``."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mmengine import hooks
from mmengine.runner import Runner

from mdl_nas_mm.registry import HOOKS
from mdl_nas_mm.utils.private import more_is_better


@HOOKS.register_module()
@more_is_better('s_score')
class CheckpointHook(hooks.CheckpointHook):
    """As mmengine's; more of ``s_score`` is better, also where ``rule`` is not given.

    A validation whose ``s_score`` is nan is never the best one.
    """


@HOOKS.register_module()
@more_is_better('s_score')
class EarlyStoppingHook(hooks.EarlyStoppingHook):
    """As mmengine's; more of ``s_score`` is better, also where ``rule`` is not given.

    Args:
        check_finite: whether a validation in which ``monitor`` is not finite ends the training.
            By default, unlike mmengine's, it is left out: it says nothing of progress.
    """

    def __init__(self, *args, check_finite: bool = False, **kwargs) -> None:
        super().__init__(*args, check_finite=check_finite, **kwargs)

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float]) -> None:
        """As mmengine's, of validations that say something."""
        if self.check_finite or math.isfinite(metrics.get(self.monitor, 0.0)):
            super().after_val_epoch(runner, metrics)
