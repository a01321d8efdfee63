"""The weights of a sub-task that may differ from its base's, as they lie in a joint model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mdl_nas_mm.spec import ParamUse, SubnetSpec
from mdl_nas_mm.spec.owners import owners_of, specific_name
from mdl_nas_mm.tasks import MultiTaskModel

from .layers import linear_layers


@dataclass(frozen=True, eq=False)
class OwnWeight:
    """The weight of one linear layer that a task has of its own.

    Attributes:
        use: what the task's architecture uses of it.
        name: of the parameter in the joint model's backbone.
        parameter: that parameter, at the largest choice.
    """

    use: ParamUse
    name: str
    parameter: nn.Parameter

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the weight in a plain backbone."""
        return self.use.groups * self.use.channels, self.use.columns

    def of(self, whole: Tensor) -> Tensor:
        """What is used of something of the parameter's shape, (rows, columns)."""
        return self._used(whole).flatten(0, 1)

    @torch.no_grad()
    def put(self, rows: Tensor, weight: Tensor) -> None:
        """Writes rows of a plain weight into the parameter.

        Args:
            rows: boolean (rows,).
            weight: (rows, columns).
        """
        used = self._used(self.parameter)
        chosen, values = rows.view(used.shape[:2]), weight.view(used.shape)
        used[chosen] = values[chosen].to(used)

    def _used(self, whole: Tensor) -> Tensor:
        use = self.use
        return whole.view(use.groups, use.max_channels, -1)[:, : use.channels, : use.columns]


def own_weights(model: MultiTaskModel, task: str, spec: SubnetSpec) -> dict[str, OwnWeight]:
    """Name of a weight in a plain backbone -> the task's own, of all linear layers in the blocks.

    Raises:
        ValueError: the backbone has none, or all tasks share some (names it).
    """
    backbone, found = model.backbone, {}
    layers, parameters = linear_layers(backbone), dict(backbone.named_parameters())
    ledger = backbone.ledger()
    for use in backbone.layout.uses(spec.root):
        if use.layer not in layers or not use.name.endswith('.weight'):
            continue
        own = specific_name(use.name, ledger.owners(use, task))
        if own not in parameters or not owners_of(own).among([task]):
            raise ValueError(
                f'task {task!r}: all tasks of the base share {use.name!r}; differences need a base '
                'with weights of its own, which `mdl-nas share-computation` makes of any'
            )
        found[use.name] = OwnWeight(use, own, parameters[own])
    return found


def own_rows(model: MultiTaskModel, weights: dict[str, OwnWeight]) -> dict[str, Tensor]:
    """Name -> boolean (rows,): which output channels are the task's own and no shared ones."""
    ledger = model.backbone.ledger()
    return {
        name: torch.from_numpy(~np.asarray(ledger.shared_rows(each.use)).reshape(-1)).to(
            each.parameter.device
        )
        for name, each in weights.items()
    }
