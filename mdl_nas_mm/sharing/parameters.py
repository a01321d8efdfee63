"""The parameters of one layer under a sharing policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mdl_nas_mm.spec import Policy

from .merge import merge, shared_mask


class TaskParameters(nn.Module):
    """Base of the elastic layers: parameters by name, shared ones and each task's own.

    State-dict keys of the shared ones are those of the plain layer (``weight``); a task's own
    lie beside them (``specific.<task>.weight``), as do the mask policy's scores (``score``).

    Args:
        shapes: parameter name -> shape (rows,) or (rows, columns) at the largest choice.
        policy: which output channels are shared.
        tasks: names of the tasks that may own weights.
        groups: the rows are this many groups of channels, each sliced and shared by itself
            (q, k and v are three groups of one parameter).
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        policy: Policy,
        tasks: Sequence[str],
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.policy = policy
        self.groups = groups
        self.names = tuple(shapes)
        if policy.has_specific and not tasks:
            raise ValueError(f'sharing policy {policy.type!r} needs the names of the tasks')
        for name, shape in shapes.items():
            shared = nn.Parameter(torch.empty(shape)) if policy.has_shared else None
            self.register_parameter(name, shared)
        if policy.has_specific:
            self.specific = nn.ModuleDict(
                {
                    task: nn.ParameterDict(
                        {name: nn.Parameter(torch.empty(shape)) for name, shape in shapes.items()}
                    )
                    for task in tasks
                }
            )
        if policy.has_scores:
            self.score = nn.Parameter(torch.rand(next(iter(shapes.values()))[0]))

    def all_of(self, name: str) -> list[Tensor]:
        """The shared and every task's parameter of one name."""
        shared = [getattr(self, name)] if self.policy.has_shared else []
        own = [own[name] for own in self.specific.values()] if self.policy.has_specific else []
        return shared + own

    def take(
        self, task: str | None, channels: int, columns: int, share_ratio: float
    ) -> list[Tensor]:
        """The weights that a task uses, in the order of ``shapes``.

        Args:
            channels: rows to use of each group.
            columns: elements to use of each row, where rows have more than one.

        Returns:
            Tensors (groups * channels,) or (groups * channels, columns).

        Raises:
            ValueError: the layer has no weights of this task.
        """
        own = None
        if self.policy.has_specific:
            if task not in self.specific:
                raise ValueError(f'no weights of task {task!r}, only of {list(self.specific)}')
            own = self.specific[task]
        scores = mask = None
        if self.policy.has_scores:
            scores = self.score.view(self.groups, -1)[:, :channels]
            mask = shared_mask(self.policy, scores, share_ratio)
        weights = []
        for name in self.names:
            shared = self._grouped(getattr(self, name))
            specific = self._grouped(own[name]) if own is not None else None
            sizes = (channels, columns)[: (specific if shared is None else shared).dim() - 1]
            weight = merge(self.policy, shared, specific, sizes, share_ratio, scores, mask)
            weights.append(weight.flatten(0, 1))
        return weights

    def _grouped(self, weight: Tensor | None) -> Tensor | None:
        """(rows[, columns]) as (groups, rows a group[, columns])."""
        return None if weight is None else weight.unflatten(0, (self.groups, -1))
