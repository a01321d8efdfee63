"""What a checkpoint holds of a training beside its weights, and how one goes on from it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mmengine

from .checkpoint import check_resumable, describe_backbone, describe_training
from .method import load_method_state, method_state
from .state import (
    load_optimizer_state,
    load_scheduler_state,
    optimizer_state,
    scheduler_state,
)

if TYPE_CHECKING:
    from .runner import MultiTaskRunner


def training_meta(runner: MultiTaskRunner) -> dict[str, Any]:
    """Says what was trained, with what."""
    return dict(
        cfg=runner.cfg.pretty_text,
        seed=runner.seed,
        experiment_name=runner.experiment_name,
        time=time.strftime('%Y%m%d_%H%M%S', time.localtime()),
        mmengine_version=mmengine.__version__,
        backbone=describe_backbone(runner.model.backbone),
        joint=describe_training(runner.cfg),
    )


def training_state(
    runner: MultiTaskRunner, optimizer: bool = True, schedules: bool = True
) -> dict[str, Any]:
    """This process's log, optimizer, schedules, and state of its sampler and step.

    Args:
        runner: whose training is to be saved.
        optimizer: whether to save the optimizer and what the method has learned.
        schedules: whether to save the schedules.
    """
    state = dict(message_hub=runner.message_hub.state_dict())
    if optimizer:
        state['optimizer'] = optimizer_state(runner.optim_wrapper, runner.model)
        method = method_state(runner.train_loop.sampler, runner.train_loop.step)
        # A method without any leaves the file as it is.
        state.update(dict(method=method) if method else {})
    if schedules and runner.param_schedulers is not None:
        state['param_schedulers'] = [scheduler_state(s) for s in runner.param_schedulers]
    return state


def restore_training(runner: MultiTaskRunner, path: str | Path, checkpoint: Mapping) -> None:
    """Goes on from a checkpoint whose weights are loaded already.

    Raises:
        ValueError: it cannot be resumed, or is of another method.
    """
    num_schedulers, tasks = len(runner.param_schedulers or ()), tuple(runner.cfg.model.tasks)
    check_resumable(path, checkpoint, num_schedulers, tasks)
    meta, loop = checkpoint['meta'], runner.train_loop
    # A seed that was chosen at random, not given, is known to the checkpoint alone.
    runner.set_randomness(meta['seed'], deterministic=runner.deterministic)
    loop.restore(meta['iter'], meta.get('validation_due', False))
    load_method_state(path, loop.sampler, loop.step, checkpoint.get('method', {}))
    runner.message_hub.load_state_dict(checkpoint['message_hub'])
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    if runner.param_schedulers is not None:
        runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    load_optimizer_state(runner.optim_wrapper, runner.model, checkpoint['optimizer'])
    states = checkpoint.get('param_schedulers', ())
    for scheduler, state in zip(runner.param_schedulers or (), states):
        load_scheduler_state(scheduler, state)
