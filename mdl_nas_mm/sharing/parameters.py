"""The parameters of one layer under a sharing policy."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from mdl_nas_mm.spec import Owners
from mdl_nas_mm.spec.owners import SCORE, SPECIFIC

from .base import SharingKind


class TaskParameters(nn.Module):
    """Base of the elastic layers: parameters by name, shared ones and those of some tasks.

    State-dict keys of the shared ones are those of the plain layer (``weight``); specific ones
    lie beside them (``specific.<task>.weight``), as does what a policy learns besides
    (``score``); see ``mdl_nas_mm.spec.owners``.

    Args:
        shapes: parameter name -> shape (rows, ...) at the largest choice.
        policy: which output channels are shared.
        tasks: names of the tasks that may own weights.
        groups: the rows are this many groups of channels, each sliced and shared by itself
            (q, k and v are three groups of one parameter).
        owners: sets of tasks that own specific weights together; by default each task for
            itself. Of a set without any of ``tasks`` there are no weights here.

    Raises:
        ValueError: the policy needs tasks, and there are none; or two sets have the same task.
    """

    # Where the policy has specific weights: label of the owners -> name -> parameter.
    specific: Mapping[str, nn.ParameterDict]

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        policy: SharingKind,
        tasks: Sequence[str],
        groups: int = 1,
        owners: Sequence[Collection[str]] | None = None,
    ) -> None:
        super().__init__()
        self.policy = policy
        self.groups = groups
        self.names = tuple(shapes)
        if policy.has_specific and not tasks:
            raise ValueError(f'sharing policy {policy.type!r} needs the names of the tasks')
        shared = policy.shared_shapes(shapes)
        for name in dict.fromkeys((*shapes, *shared)):
            parameter = nn.Parameter(policy.initial(name, shared[name])) if name in shared else None
            self.register_parameter(name, parameter)
        self.owner_sets = tuple(Owners.of(*each) for each in owners or ())
        # Task -> whose specific weights it uses.
        self.owners = _owners_of_each(tasks, self.owner_sets) if policy.has_specific else {}
        if policy.has_specific:
            specific = nn.ModuleDict()
            for each in dict.fromkeys(self.owners.values()):
                own = policy.specific_shapes(shapes)
                specific[each.label] = nn.ParameterDict(
                    {name: nn.Parameter(policy.initial(name, own[name])) for name in own}
                )
            self.add_module(SPECIFIC, specific)

    def all_of(self, name: str) -> list[Tensor]:
        """The shared and every specific parameter of one name."""
        shared = [getattr(self, name)] if self.policy.has_shared else []
        own = [own[name] for own in self.specific.values()] if self.policy.has_specific else []
        return shared + own

    def take(
        self,
        task: str | None,
        channels: int,
        columns: int | Sequence[tuple[int, int]],
        share_ratio: float,
    ) -> list[Tensor]:
        """The weights that a task uses, in the order of ``shapes``.

        Args:
            task: whose weights; None where all are shared.
            channels: rows to use of each group.
            columns: elements to use of each row, where rows have more than one; or several runs
                of them, as (first element, how many). A kernel's elements are its inputs times
                its height times its width.
            share_ratio: the part of the channels that is shared.

        Returns:
            Tensors (groups * channels,) or (groups * channels, columns).

        Raises:
            ValueError: the layer has no weights of this task.
        """
        own = None
        if self.policy.has_specific:
            if task not in self.owners:
                raise ValueError(f'no weights of task {task!r}, only of {list(self.owners)}')
            own = self.specific[self.owners[task].label]
        scores = getattr(self, SCORE) if self.policy.has_scores else None
        choice = self.policy.choose(channels, self.groups, share_ratio, scores)
        weights = []
        for name in self.names:
            shared = self._grouped(getattr(self, name))
            specific = self._grouped(own[name]) if own is not None else None
            either = specific if shared is None else shared
            assert either is not None
            if either.dim() == 2:
                merged = self.policy.merge(shared, specific, (channels,), choice)
            elif isinstance(columns, int):
                merged = self.policy.merge(shared, specific, (channels, columns), choice)
            else:
                runs = [
                    self.policy.merge(
                        _from_column(shared, first),
                        _from_column(specific, first),
                        (channels, count),
                        choice,
                    )
                    for first, count in columns
                ]
                merged = torch.cat(runs, dim=2)
            weights.append(merged.flatten(0, 1))
        return weights

    def _grouped(self, weight: Tensor | None) -> Tensor | None:
        """(rows, ...) as (groups, rows a group[, columns])."""
        if weight is None:
            return None
        grouped = weight.unflatten(0, (self.groups, -1))
        return grouped if grouped.dim() <= 3 else grouped.flatten(2)


def _from_column(weight: Tensor | None, first: int) -> Tensor | None:
    return None if weight is None else weight[..., first:]


def _owners_of_each(tasks: Sequence[str], owner_sets: Sequence[Owners]) -> dict[str, Owners]:
    """Task -> the set that it belongs to, or ValueError for a task that belongs to two."""
    found: dict[str, Owners] = {}
    for each in owner_sets or map(Owners.of, tasks):
        for task in each.among(tasks):
            if task in found:
                raise ValueError(
                    f'owners: task {task!r} is in {found[task].label!r} and {each.label!r}'
                )
            found[task] = each
    return found
