"""One joint training step: a method's passes, then one update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.cuda.amp import GradScaler

from mdl_nas_mm.spec import JointSpec, SearchSpace, SubnetSpec
from mdl_nas_mm.spec.owners import owners_of
from mdl_nas_mm.tasks import MultiTaskModel
from mdl_nas_mm.utils.private import ParamScheduler

from .balancing import Balancer
from .freeze import freeze_rest, partial_masks
from .grad_sync import spread_overflow
from .pass_batch import PassBatch
from .passes import Passes
from .plan import StepPlan
from .statistics import without_statistics


class Step(nn.Module):
    """How the batches of a step become gradients. A config names one in ``train_cfg.step``.

    A subclass defines ``train_batch``; see ``Passes`` for what it is composed of. Parameters that
    it makes are its own: every process has all of them, with the gradient of all processes' passes,
    they have an optimizer of their own, and lie in checkpoints beside the model's, where only a
    training that is resumed looks for them. Buffers lie there too.

    Args:
        spaces: task -> what its subnets are sampled from.
        freeze_rest: keep weights and optimizer states that no subnet of a step used.
        optim_wrapper: config of the optimizer of the step's own parameters. Its schedules are
            ``param_scheduler`` beside it in ``train_cfg.step``, in steps, as those of the model.

    Attributes:
        balance: ``balance`` beside these, of ``BALANCERS``; its parameters and buffers are among
            the step's own.
        grad_norm_interval: ``grad_norm_interval`` beside these. Every so many steps, the log shows
            the norm of each task's gradient of what all tasks share; never where it is 0.
        keeps_statistics: whether batch norms keep running statistics of its passes. Where not,
            ``recalibrate_images`` has to say from how many they are estimated.
        derives_gradients: whether ``update_own`` makes the gradients of its own parameters out of
            the model's, which are those of all processes by then, so that none are exchanged.
    """

    keeps_statistics = True
    derives_gradients = False

    def __init__(
        self,
        spaces: Mapping[str, SearchSpace],
        freeze_rest: bool = True,
        optim_wrapper: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.spaces, self.freeze_rest, self.optim_config = spaces, freeze_rest, optim_wrapper
        self.balance: Balancer | None = None
        self.grad_norm_interval = 0
        self.optim_wrapper: OptimWrapper | None = None
        self.schedules: list[ParamScheduler] = []

    @staticmethod
    def check_config(cfg: Mapping[str, Any]) -> Sequence[str]:
        """Looks through a resolved joint config that names it, before anything is built.

        Returns:
            A line for each setting that may not be meant; the log warns of it.

        Raises:
            ValueError: it cannot be trained by it.
        """
        return ()

    def adapt(self, model: MultiTaskModel, specs: JointSpec | None) -> None:
        """Makes parameters and buffers whose sizes depend on the model; optimizers come later.

        Args:
            model: without its weights.
            specs: the architectures that alone are trained; None where they are sampled.

        Raises:
            ValueError: it cannot train such a model.
        """

    def begin(self, model: MultiTaskModel) -> None:
        """Is told that the model has its initial weights, before a checkpoint is loaded."""

    def run(self, passes: Passes, specs: Mapping[str, Sequence[SubnetSpec]]) -> None:
        """Runs this process's passes of one step, group by group and batch by batch.

        Args:
            passes: the batches of this process, and what is done with them.
            specs: task -> subnets of this step, for all tasks, also those of other ranks.
        """
        passes.announce(each for batch in passes.batches() for each in batch.subnets(specs))
        for batch in passes.batches():
            with passes.prepared(batch) as data:
                self.train_batch(passes, batch, data, batch.subnets(specs))

    def train_batch(
        self,
        passes: Passes,
        batch: PassBatch,
        data: Mapping[str, dict],
        subnets: Sequence[Mapping[str, SubnetSpec]],
    ) -> None:
        """Runs the passes over one batch of a task, or of several tasks that share a pass.

        Args:
            passes: see ``run``.
            batch: says how much each task counts in it.
            data: what ``Passes.prepared`` gives of it.
            subnets: the passes, one after the other: each task -> its subnet.
        """
        raise NotImplementedError

    def loss(
        self, passes: Passes, task: str, spec: SubnetSpec, data: dict
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one subnet on a task's prepared batch, and its parts by name.

        A dry run asks for it as well: of a step that takes other batches than one forward pass does
        it is what is right for them.
        """
        return passes.forward(task, spec, data)

    def updated(self, model: MultiTaskModel) -> None:
        """Told that all is updated; may write what it has learned into buffers of the model."""

    def logged(self, iteration: int) -> dict[str, Tensor]:
        """What the log shows of it after a step, beside losses; the same on all processes."""
        return {} if self.balance is None else self.balance.logged()

    def update_own(self, scaler: GradScaler | None = None) -> None:
        """Updates its own parameters, if there are any.

        Args:
            scaler: what has scaled the losses; gradients that overflowed leave all as it is.
        """
        if self.optim_wrapper is None:
            return
        if scaler is not None:
            scaler.unscale_(self.optim_wrapper.optimizer)
        grads = [p.grad for p in self.parameters() if p.grad is not None]
        if scaler is None or all(bool(grad.isfinite().all()) for grad in grads):
            self.optim_wrapper.step()
        self.optim_wrapper.zero_grad()
        for schedule in self.schedules:
            schedule.step()


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
    with nullcontext() if step.keeps_statistics else without_statistics(passes.model):
        step.run(passes, specs)
    passes.finish()
    _scale_own_gradients(passes.model, passes.plan)
    if passes.reducer is not None and hasattr(passes.optim_wrapper, 'loss_scaler'):
        spread_overflow(passes.model)
    # The model's own update ends with that of the scale.
    step.update_own(getattr(passes.optim_wrapper, 'loss_scaler', None))
    _update(passes.model, passes.optim_wrapper, specs if step.freeze_rest else None)
    step.updated(passes.model)
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
    masks = {} if used is None else partial_masks(model.supernet, passes) | model.used_channels()
    with nullcontext() if used is None else freeze_rest(optim_wrapper.optimizer, masks):
        optim_wrapper.step()
    optim_wrapper.zero_grad()
