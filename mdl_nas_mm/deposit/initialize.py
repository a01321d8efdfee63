"""A deposited task's weights for the backbone of an upstream config."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.registry import WEIGHT_INITIALIZERS
from mdl_nas_mm.spec import ParamUse

from .fill import fill_statistics
from .unpack import Deposit


@WEIGHT_INITIALIZERS.register_module(name='Deposited')
class DepositedInit:
    """Starts the architecture of an elastic backbone from a deposit.

    Asked for as ``init_cfg=dict(type='mdl_nas_mm.Deposited', checkpoint=...)``, as upstream's
    ``Pretrained`` is, of a backbone whose ``arch`` is the same deposit's. Where the backbone
    has a larger space, what its ``arch`` does not use keeps its value.

    Args:
        checkpoint: path of the deposit.
        task: whose weights; by default the backbone's own ``task``.
        trust: see ``Deposit``.
    """

    file_refusal = 'loads a checkpoint that it is told'

    def __init__(
        self, checkpoint: str, task: str | None = None, trust: Collection[str] = ()
    ) -> None:
        self.checkpoint, self.task, self.trust = checkpoint, task, trust

    @torch.no_grad()
    def __call__(self, module: ElasticBackbone) -> None:
        """Copies the weights into the backbone.

        Raises:
            FileNotFoundError, ValueError: see ``Deposit``; or the deposited weights are of
                another architecture or other settings (names the first that differs), or tasks
                own weights of the backbone.
        """
        if module.tasks:
            raise ValueError(f'deposit {self.checkpoint}: give the backbone no tasks, nor sharing')
        task = self.task or module.task
        deposit = Deposit(self.checkpoint, self.trust)
        deposit.check_task(task)
        assert task is not None
        weights = deposit.run_weights(task)
        parameters, uses = dict(module.named_parameters()), module.layout.uses(module.arch)
        for use in uses:
            found = tuple(weights[use.run].shape) if use.run in weights else None
            if found != (use.groups * use.channels, use.columns):
                raise ValueError(
                    f'deposit {self.checkpoint}: {use.name!r} of task {task!r} is {found}, in the '
                    f'backbone {(use.groups * use.channels, use.columns)}; give the backbone the '
                    'deposit as arch, and the settings of the backbone that was deposited'
                )
        for use in uses:
            part = _used_part(parameters[use.name], use)
            part.copy_(weights[use.run].view_as(part))
        fill_statistics(deposit, module, task)


def _used_part(parameter: Tensor, use: ParamUse) -> Tensor:
    """A view (groups, channels, columns) of what is in use of a parameter."""
    grouped = parameter.view(use.groups, use.max_channels, use.max_columns)
    return grouped[:, : use.channels, use.first_column :][..., : use.columns]
