"""mmengine's hooks that look for the best validation, made to know ``s_score``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mmengine import hooks
from mmengine.runner import Runner

from mdl_nas_mm.registry import HOOKS
from mdl_nas_mm.utils import private


@HOOKS.register_module()
class CheckpointHook(hooks.CheckpointHook):
    """As mmengine's; more of ``s_score`` is better, also where ``rule`` is not given.

    A validation whose ``s_score`` is nan is never the best one.
    """

    def __init__(self, *args, greater_keys: Sequence[str] | None = None, **kwargs) -> None:
        known = [*private.greater_keys(), 's_score'] if greater_keys is None else greater_keys
        super().__init__(*args, greater_keys=known, **kwargs)


@HOOKS.register_module()
class EarlyStoppingHook(hooks.EarlyStoppingHook):
    """As mmengine's; more of ``s_score`` is better, also where ``rule`` is not given.

    Args:
        check_finite: whether a validation in which ``monitor`` is not finite ends the training.
            By default, unlike mmengine's, it is left out: it says nothing of progress.
    """

    def __init__(
        self, monitor: str, rule: str | None = None, *args, check_finite: bool = False, **kwargs
    ) -> None:
        if rule is None and 's_score' in monitor.lower():
            rule = 'greater'
        super().__init__(monitor, rule, *args, check_finite=check_finite, **kwargs)

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float]) -> None:
        """As mmengine's, of validations that say something."""
        if self.check_finite or math.isfinite(metrics.get(self.monitor, 0.0)):
            super().after_val_epoch(runner, metrics)
