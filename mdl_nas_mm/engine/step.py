"""One joint training step: a method's passes, then one update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext

from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.spec.owners import owners_of
from mdl_nas_mm.tasks import MultiTaskModel

from .freeze import freeze_rest, partial_masks
from .grad_sync import spread_overflow
from .passes import Passes
from .plan import StepPlan


class Step(nn.Module):
    """How the batches of a step become gradients. A config names one in ``train_cfg.step``.

    A subclass defines ``run``; see ``Passes`` for what it is composed of.

    Args:
        freeze_rest: keep weights and optimizer states that no subnet of a step used.
    """

    def __init__(self, freeze_rest: bool = True) -> None:
        super().__init__()
        self.freeze_rest = freeze_rest

    def run(self, passes: Passes, specs: Mapping[str, Sequence[SubnetSpec]]) -> None:
        """Runs this process's passes of one step.

        Args:
            specs: task -> subnets of this step, for all tasks, also those of other ranks.
        """
        raise NotImplementedError


def train_step(
    step: Step, passes: Passes, specs: Mapping[str, Sequence[SubnetSpec]]
) -> dict[str, Tensor]:
    """Updates the model once with every task's batches.

    A task's gradient is the mean over its images; the gradient of a shared weight is the mean of
    the tasks', each counting its share (supplement, C); that of a task's own weight is the task's.
    Ranks compute parts of these sums.

    Returns:
        This rank's part of the losses, as ``<task>/<name>``.

    Raises:
        FloatingPointError: a loss is not finite.
        TaskError: a task's model has failed; names the files of its batch.
    """
    step.run(passes, specs)
    passes.finish()
    _scale_own_gradients(passes.model, passes.plan)
    if passes.reducer is not None and hasattr(passes.optim_wrapper, 'loss_scaler'):
        spread_overflow(passes.model)
    _update(passes.model, passes.optim_wrapper, specs if step.freeze_rest else None)
    return passes.losses


def _scale_own_gradients(model: MultiTaskModel, plan: StepPlan) -> None:
    """What some tasks own gets the mean of their gradients, not their share of that of all."""
    for name, parameter in model.named_parameters():
        owners = owners_of(name)
        if not owners.are_all and parameter.grad is not None:
            parameter.grad /= sum(plan.shares[task] for task in owners.among(plan.shares))


def _update(
    model: MultiTaskModel,
    optim_wrapper: OptimWrapper,
    used: Mapping[str, Sequence[SubnetSpec]] | None,
) -> None:
    """Steps the optimizer; what no subnet ``used`` stays as it is, unless that is None."""
    passes = [(task, spec) for task, group in (used or {}).items() for spec in group]
    masks = {} if used is None else partial_masks(model.backbone, passes)
    with nullcontext() if used is None else freeze_rest(optim_wrapper.optimizer, masks):
        optim_wrapper.step()
    optim_wrapper.zero_grad()
