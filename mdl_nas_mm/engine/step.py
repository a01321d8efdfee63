"""One joint training step: every task's sandwich of subnets, then one update."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import set_random_seed
from torch import Tensor

from mdl_nas_mm.spec import SearchSpace, SubnetSpec
from mdl_nas_mm.spec.owners import owners_of
from mdl_nas_mm.tasks import MultiTaskModel
from mdl_nas_mm.tasks.data import derive_seed, part_of
from mdl_nas_mm.tasks.failures import in_task

from .freeze import freeze_rest, partial_masks
from .grad_sync import GradientReducer, spread_overflow
from .groups import Dealing


def draw_specs(
    space: SearchSpace, tasks: Sequence[str], seed: int, iteration: int, num_random: int
) -> dict[str, list[SubnetSpec]]:
    """Each task's subnets of one step; a function of seed, iteration and task alone."""
    return {
        task: space.sandwich(random.Random(derive_seed(seed, iteration, task)), num_random)
        for task in tasks
    }


@dataclass(frozen=True)
class Piece:
    """What one rank has of a task's batch of a step.

    Attributes:
        unit, part, parts: see ``Dealing.pieces``.
        weight: its share of the images of the task's whole batch.
    """

    unit: int
    part: int
    parts: int
    weight: float


@dataclass(frozen=True)
class StepPlan:
    """What is the same in every step of one process.

    Attributes:
        pieces: this process's tasks -> its pieces of each step.
        weights: task -> weight of its loss.
        shares: task -> how much it counts for shared weights; of all tasks they sum to 1.
        seed: what the randomness of upstream models is derived from.
        freeze: keep what no subnet of a step used as it is; see ``freeze_rest``.
    """

    pieces: Mapping[str, Sequence[Piece]]
    weights: Mapping[str, float]
    shares: Mapping[str, float]
    seed: int
    freeze: bool = True

    @classmethod
    def make(
        cls,
        dealing: Dealing,
        rank: int,
        batch_sizes: Mapping[str, int],
        weights: Mapping[str, float],
        seed: int,
        freeze: bool = True,
    ) -> StepPlan:
        """The plan of a rank; ``batch_sizes`` are images of one unit, by task."""
        pieces = {}
        for task in dealing.tasks_of(rank):
            size, units = batch_sizes[task], dealing.units[task]
            pieces[task] = []
            for unit, part, parts in dealing.pieces(task, rank):
                own = part_of(size, part, parts)
                weight = (own.stop - own.start) / (size * units)
                pieces[task].append(Piece(unit, part, parts, weight))
        shares = {task: dealing.share(task) for task in dealing.tasks}
        return cls(pieces, weights, shares, seed, freeze)


def train_step(
    model: MultiTaskModel,
    optim_wrapper: OptimWrapper,
    batches: Mapping[str, Sequence[dict]],
    specs: Mapping[str, Sequence[SubnetSpec]],
    plan: StepPlan,
    iteration: int,
    reducer: GradientReducer | None = None,
) -> dict[str, Tensor]:
    """Updates the model once with every task's batch.

    A task's gradient is the mean over its subnets and images; the gradient of a shared weight is
    the mean of the tasks', each counting its share (supplement, C); that of a task's own weight
    is the task's. Ranks compute parts of these sums, which the reducer adds up.

    Args:
        batches: this process's tasks -> a batch from its loader for each of its pieces.
        specs: task -> subnets of this step, for all tasks, also those of other ranks.
        reducer: adds the gradients of all ranks; None for a single process.

    Returns:
        This rank's part of the losses of each task's last subnet, as ``<task>/<name>``.

    Raises:
        FloatingPointError: a loss is not finite.
        TaskError: a task's model has failed; names the files of its batch.
    """
    losses: dict[str, Tensor] = {}
    left = sum(len(specs[task]) * len(group) for task, group in batches.items())
    for task, group in batches.items():
        for piece, batch in zip(plan.pieces[task], group, strict=True):
            with in_task(task, f'iteration {iteration}', batch, model.tasks[task]):
                # Dropout and upstream's random choices depend on the step and the piece alone.
                set_random_seed(derive_seed(plan.seed, iteration, task, piece.unit, piece.part))
                data = model.preprocess(task, batch)
                for spec in specs[task]:
                    with optim_wrapper.optim_context(model):
                        loss, parts = model.loss(task, spec, data)
                    if not torch.isfinite(loss):
                        raise FloatingPointError(
                            f'loss is {loss.item()}: task {task!r}, iteration {iteration}, '
                            f'subnet {spec}'
                        )
                    left -= 1
                    last = left == 0 and reducer is not None
                    factor = piece.weight * plan.weights[task] * plan.shares[task]
                    factor /= len(specs[task])
                    with reducer.last_backward() if last else nullcontext():
                        optim_wrapper.backward(loss * factor)
            for name, value in parts.items():
                key = f'{task}/{name}'
                losses[key] = losses.get(key, 0) + piece.weight * value.detach()
    for name, parameter in model.named_parameters():
        owners = owners_of(name)
        if not owners.are_all and parameter.grad is not None:
            parameter.grad /= sum(plan.shares[task] for task in owners.among(plan.shares))
    if reducer is not None and hasattr(optim_wrapper, 'loss_scaler'):
        spread_overflow(model)
    passes = [(task, spec) for task, group in specs.items() for spec in group]
    masks = partial_masks(model.backbone, passes) if plan.freeze else {}
    with freeze_rest(optim_wrapper.optimizer, masks) if plan.freeze else nullcontext():
        optim_wrapper.step()
    optim_wrapper.zero_grad()
    return losses
