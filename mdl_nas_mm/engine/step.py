"""One joint training step: every task's sandwich of subnets, then one update."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import set_random_seed
from torch import Tensor

from mdl_nas_mm.spec import SearchSpace, SubnetSpec
from mdl_nas_mm.tasks import MultiTaskModel
from mdl_nas_mm.tasks.data import derive_seed

from .freeze import freeze_rest, partial_masks


def draw_specs(
    space: SearchSpace, tasks: Sequence[str], seed: int, iteration: int, num_random: int
) -> dict[str, list[SubnetSpec]]:
    """Each task's subnets of one step; a function of seed, iteration and task alone."""
    return {
        task: space.sandwich(random.Random(derive_seed(seed, iteration, task)), num_random)
        for task in tasks
    }


def train_step(
    model: MultiTaskModel,
    optim_wrapper: OptimWrapper,
    batches: Mapping[str, dict],
    specs: Mapping[str, Sequence[SubnetSpec]],
    weights: Mapping[str, float],
    seed: int,
    iteration: int,
    freeze: bool,
) -> dict[str, Tensor]:
    """Updates the model once with every task's batch.

    A task's gradient is the mean over its subnets; the gradient of a shared weight is the mean
    over the tasks (supplement, C), that of a task's own weight is the task's.

    Args:
        batches: task -> batch from its loader.
        specs: task -> subnets of this step.
        weights: task -> weight of its loss.
        freeze: keep what no subnet used as it is; see ``freeze_rest``.

    Returns:
        The losses of each task's last subnet, as ``<task>/<name>``, and their sum as ``loss``.

    Raises:
        FloatingPointError: a loss is not finite.
    """
    losses: dict[str, Tensor] = {}
    for task, batch in batches.items():
        # Dropout and upstream's random choices depend on the step alone, not on what ran before.
        set_random_seed(derive_seed(seed, iteration, task))
        data = model.preprocess(task, batch, training=True)
        for spec in specs[task]:
            with optim_wrapper.optim_context(model):
                loss, parts = model.loss(task, spec, data)
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    f'loss is {loss.item()}: task {task!r}, iteration {iteration}, subnet {spec}'
                )
            optim_wrapper.backward(loss * (weights[task] / len(specs[task])))
        losses.update({f'{task}/{name}': value.detach() for name, value in parts.items()})
    for name, parameter in model.backbone.named_parameters():
        if parameter.grad is not None and '.specific.' not in name:
            parameter.grad /= len(batches)
    passes = [(task, spec) for task, group in specs.items() for spec in group]
    masks = partial_masks(model.backbone, passes) if freeze else {}
    with freeze_rest(optim_wrapper.optimizer, masks) if freeze else nullcontext():
        optim_wrapper.step()
    optim_wrapper.zero_grad()
    losses['loss'] = sum(losses[f'{task}/loss'] for task in batches)
    return losses
