"""The weights of a backbone that are to be stored."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.spec.layout import Run
from mdl_nas_mm.spec.owners import ALL, read_name
from mdl_nas_mm.tasks import MultiTaskModel

from .rectangles import as_integers, from_integers
from .regions import Region


class Weights:
    """The parameters of a backbone as integers (rows, columns)."""

    def __init__(self, model: MultiTaskModel) -> None:
        self._parameters = {
            name: parameter.detach().cpu()
            for name, parameter in model.backbone.named_parameters()
            if not read_name(name).is_score
        }
        dtypes = {parameter.dtype for parameter in self._parameters.values()}
        if len(dtypes) > 1:
            raise ValueError(
                f'backbone: its weights are of several dtypes, {sorted(map(str, dtypes))}'
            )
        (self.dtype,) = dtypes

    def rows(self, name: str, count: int) -> np.ndarray:
        """A parameter, seen as so many rows."""
        return as_integers(self._parameters[name].contiguous()).reshape(count, -1)

    def empty(self, size: int) -> np.ndarray:
        """Memory for so many elements."""
        return as_integers(torch.empty(size, dtype=self.dtype))

    def used(self, region: Region) -> dict[Run, Tensor]:
        """Run -> what a task uses of it, (groups * channels, columns)."""
        found = {}
        for run, parts in region.weights.items():
            use = parts[0].use
            weight = self.empty(use.size).reshape(-1, use.columns)
            for part in parts:
                name, first = part.run
                if part.size:
                    rows = self.rows(name, len(part.rows))[part.rows]
                    weight[part.chosen.reshape(-1)] = rows[:, first : first + use.columns]
            found[run] = from_integers(weight, self.dtype)
        return found


def check_uses(region: Region, model: MultiTaskModel, spec: SubnetSpec, task: str) -> None:
    """Raises ValueError where the deposit's backbone has not the weights of the model's."""
    ledger = model.backbone.ledger()
    ours = {use.run: use for use in ledger.uses(spec, task)}
    for run in [*ours, *region.uses]:
        use, weights = ours.get(run), region.weights.get(run, ())
        alike = use is not None and use == region.uses.get(run)
        if not alike or any(each.owners not in (ALL, ledger.owners(use, task)) for each in weights):
            raise ValueError(
                f'task {task!r}: {run[0]!r} is another one in the backbone of the deposit'
            )
