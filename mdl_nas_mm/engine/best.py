"""mmengine's hooks that look for the best validation, made to know scores."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mmengine import hooks
from mmengine.runner import Runner

from mdl_nas_mm.registry import HOOKS
from mdl_nas_mm.tasks import ResolvedConfig
from mdl_nas_mm.utils.private import more_is_better

_RULES = {True: 'greater', False: 'less'}


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

    What it has seen goes into the checkpoint, so that a resumed training waits no longer.

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
            seen = dict(best=float(self.best_score), waited=self.wait_count)
            runner.message_hub.update_info(self._seen, seen)

    def before_train(self, runner: Runner) -> None:
        """Goes on from what the validations of a resumed training have given."""
        seen = runner.message_hub.runtime_info.get(self._seen)
        if seen is not None:
            self.best_score, self.wait_count = seen['best'], seen['waited']

    @property
    def _seen(self) -> str:
        return f'early_stopping/{self.monitor}'


def state_rules(cfg: ResolvedConfig) -> None:
    """Says in hooks and schedules that look at a task's score whether more or less of it is better.

    Raises:
        ValueError: its ``rule`` says the other one.
    """
    rules = {'s_score': _RULES[True]}
    for name, task in cfg.tasks.items():
        if task.val is not None:
            rules[f'{name}/{task.score.metric}'] = _RULES[task.scoring(task.val).greater]
    named = {
        f'default_hooks.{name}': hook for name, hook in (cfg.get('default_hooks') or {}).items()
    }
    named |= {f'custom_hooks[{i}]': hook for i, hook in enumerate(cfg.get('custom_hooks') or ())}
    schedules = cfg.get('param_scheduler') or ()
    schedules = [schedules] if isinstance(schedules, Mapping) else schedules
    named |= {f'param_scheduler[{i}]': schedule for i, schedule in enumerate(schedules)}
    for where, hook in named.items():
        if isinstance(hook, dict):
            _state_rule(hook, where, rules)


def _state_rule(hook: dict, where: str, rules: Mapping[str, str]) -> None:
    names = hook.get('save_best') or hook.get('monitor')
    names = [names] if isinstance(names, str) else list(names or ())
    given = hook.get('rule')
    given = [given] * len(names) if given is None or isinstance(given, str) else list(given)
    for name, rule in zip(names, given):
        if rule is not None and rules.get(name, rule) != rule:
            raise ValueError(f'{where}.rule: of {name!r} {rules[name]} is better, not {rule}')
    if names and hook.get('rule') is None and all(name in rules for name in names):
        found = [rules[name] for name in names]
        hook['rule'] = found if isinstance(hook.get('save_best'), (list, tuple)) else found[0]
