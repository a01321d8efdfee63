"""What the steps of a sub-task have in common: its weights are base + difference, always."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.cuda.amp import GradScaler
from torch.func import functional_call

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.engine.step import Step
from mdl_nas_mm.spec import JointSpec, SearchSpace, SubnetSpec
from mdl_nas_mm.spec.owners import owners_of
from mdl_nas_mm.tasks import MultiTaskModel

from .own_weights import OwnWeight, own_rows, own_weights

# Names of parameters have no dots.
key_of: Callable[[str], str] = lambda name: name.replace('.', '/')  # noqa: E731


class DifferenceStep(Step):
    """Trains the difference of one new task's weights from those that it started from.

    The differences are parameters of the step, with its optimizer; the joint model's own weights
    of the task are written anew before each pass and after each update. Gradients of differences
    are made of those of the weights, so that any number of processes has the same. What else is
    the task's, its head, is trained by the optimizer of the model.

    Args:
        spaces, optim_wrapper: see ``Step``.
        norms_and_biases: whether what else the task owns in the blocks is trained as well, by the
            model's optimizer. Of norms that is something where the base's are its own.
    """

    derives_gradients = True

    def __init__(
        self,
        spaces: Mapping[str, SearchSpace],
        optim_wrapper: Mapping[str, Any] | None = None,
        norms_and_biases: bool = False,
    ) -> None:
        super().__init__(spaces, False, optim_wrapper)
        self.norms_and_biases = norms_and_biases
        self.weights: dict[str, OwnWeight] = {}
        # Of the backbone's parameters that the task owns, by their names, and those of its base.
        self._own: dict[str, nn.Parameter] = {}
        self._base: dict[str, Tensor] = {}
        self._rows: dict[str, Tensor] = {}

    def adapt(self, model: MultiTaskModel, specs: JointSpec | None) -> None:
        """See ``Step``.

        Raises:
            ValueError: the training is not of one new task with one architecture, or see
                ``own_weights``.
        """
        if specs is None or len(self.spaces) != 1:
            raise ValueError(
                f"train_cfg.step: {type(self).__name__} trains one new task of a 'base', with one "
                f'architecture; here are {sorted(self.spaces)}'
            )
        (self.task,) = self.spaces
        self.weights = own_weights(model, self.task, specs[self.task])
        named = model.backbone.named_parameters()
        self._own = {name: p for name, p in named if not owners_of(name).are_all}
        self.make()

    def make(self) -> None:
        """Makes the parameters of the differences of ``weights``."""
        raise NotImplementedError

    @torch.no_grad()
    def begin(self, model: MultiTaskModel) -> None:
        """Keeps the weights of the base, which the task's are at the start."""
        self._base = {name: parameter.detach().clone() for name, parameter in self._own.items()}
        self._rows = own_rows(model, self.weights)

    def base(self, name: str) -> Tensor:
        """The base's weight, (rows, columns)."""
        weight = self.weights[name]
        return weight.of(self._base[weight.name])

    def rows(self, name: str) -> Tensor:
        """Boolean (rows,): which output channels may differ."""
        return self._rows[name]

    @torch.no_grad()
    def run_base(self, backbone: nn.Module, task: str, spec: SubnetSpec, images: Tensor) -> None:
        """Runs the backbone with the weights of the base, for whoever hooks its layers."""
        with activate(task, spec):
            functional_call(backbone, self._base, (images,))

    def write(self, merged: Callable[[str], Tensor]) -> None:
        """Gives the model the weights of the task.

        Args:
            merged: name -> the whole weight (rows, columns).
        """
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.put(self.rows(name), merged(name))

    def run(self, passes: Passes, specs: Mapping[str, Sequence[SubnetSpec]]) -> None:
        """A pass a batch, with the weights that ``before`` has written."""
        self.before(passes)
        for batch in passes.batches():
            with passes.prepared(batch) as data:
                for each in batch.subnets(specs):
                    for task, spec in each.items():
                        loss, values = self.loss(passes, task, spec, data[task])
                        passes.backward(task, loss, passes.factor(task, batch))
                        passes.log(task, batch, values)

    def before(self, passes: Passes) -> None:
        """Writes the weights of this step's passes."""
        raise NotImplementedError

    def update_own(self, scaler: GradScaler | None = None) -> None:
        """See ``Step``; makes the gradients first, and writes the weights afterwards."""
        with torch.enable_grad():
            self.derive(1.0 if scaler is None else scaler.get_scale())
        # What is written by the step is nothing that the model's optimizer may touch.
        written = {weight.name for weight in self.weights.values()}
        for name, parameter in self._own.items():
            if name in written or not self.norms_and_biases:
                parameter.grad = None
        super().update_own(scaler)
        self.after()

    def derive(self, scale: float) -> None:
        """Makes the gradients of its own parameters out of those of the weights.

        Args:
            scale: what the losses were multiplied by.
        """
        raise NotImplementedError

    def after(self) -> None:
        """Writes the weights that are evaluated and saved."""
        raise NotImplementedError
