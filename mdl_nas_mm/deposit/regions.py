"""What one task uses of the backbone, and which weights that comes from; no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mdl_nas_mm.sharing import Sharing
from mdl_nas_mm.spec import Layout, Ledger, Owners, ParamUse, SubnetSpec
from mdl_nas_mm.spec.layout import Run, used_by
from mdl_nas_mm.spec.owners import ALL, OwnerSets, specific_owners, weight_name

from .budget import Budget


@dataclass(frozen=True)
class UsedRows:
    """The rows that one task takes from one weight, of one run of a parameter's columns.

    Attributes:
        owners: whose the weight is: shared by all, of some, or the task's alone.
        chosen: boolean (groups, channels): which used rows come from it.
        rows: boolean (groups * max_channels,): the same, of all rows of the parameter.
    """

    use: ParamUse
    owners: Owners
    chosen: np.ndarray
    rows: np.ndarray

    @property
    def run(self) -> Run:
        """Name in the backbone of the weight, and the first column."""
        return weight_name(self.use.name, self.owners), self.use.first_column

    @property
    def is_own(self) -> bool:
        """Whether no other task can use it."""
        return not (self.owners.are_all or self.owners.are_several)

    @property
    def size(self) -> int:
        """Elements."""
        return int(self.chosen.sum()) * self.use.columns

    def positions(self, rows: np.ndarray) -> np.ndarray:
        """Where rows of the parameter lie among the groups * channels used ones."""
        if self.use.groups == 1:
            return rows
        group, channel = np.divmod(rows, self.use.max_channels)
        return group * self.use.channels + channel


@dataclass(frozen=True)
class Region:
    """What one task uses of the backbone.

    Attributes:
        weights: run -> the weights that its rows come from, the shared one first; in the layout's
            order.
        earlier: the segments that were there before the region was stored, alone or in a batch
            with others.
    """

    label: str
    weights: dict[Run, tuple[UsedRows, ...]]
    earlier: frozenset[str] = frozenset()

    @cached_property
    def uses(self) -> dict[Run, ParamUse]:
        """Run -> what is used of it."""
        return {run: found[0].use for run, found in self.weights.items()}

    @cached_property
    def parts(self) -> dict[Run, UsedRows]:
        """Run of a weight that others may use too -> what is used of it."""
        return {each.run: each for each in self._all() if not each.is_own}

    @cached_property
    def own(self) -> list[UsedRows]:
        """What is used of the weights that the task alone owns."""
        return [each for each in self._all() if each.is_own]

    @property
    def own_size(self) -> int:
        """Elements that the task alone owns."""
        return sum(part.size for part in self.own)

    def _all(self) -> Iterator[UsedRows]:
        return (each for found in self.weights.values() for each in found)


def region_of(
    label: str,
    spec: SubnetSpec,
    layout: Layout,
    sharing: Sharing,
    bits: np.ndarray | None,
    owner_sets: OwnerSets,
    earlier: Iterable[str] = (),
    budget: Budget | None = None,
) -> Region:
    """The region of a task.

    Args:
        label: the name of the task; what comes after a dot is not part of it.
        spec: its architecture.
        layout: of the backbone.
        sharing: the policies.
        bits: boolean; under the mask policy, which channels of a layer are shared, one layer
            after the other.
        owner_sets: which tasks own specific weights together.
        earlier: the segments that were there before.
        budget: counts the rows.

    Raises:
        ValueError: there are more or fewer bits than channels.
    """
    weights, layers, position = {}, {}, 0
    task = label.partition('.')[0]
    for use in used_by(layout.uses(spec), task):
        if use.layer not in layers:
            policy, size = sharing[use.role], use.groups * use.channels
            if budget is not None:
                # What is kept of a layer beside its rows takes memory as well.
                budget.take('rows', 64 + use.groups * use.max_channels)
            if policy.has_scores:
                if bits is None:
                    raise ValueError(f"'mask/{label}' is missing")
                chosen = bits[position : position + size]
                position += size
                if len(chosen) < size:
                    raise ValueError(f'mask of {label!r} has {len(bits)} bits, too few')
                shared = chosen.reshape(use.groups, use.channels)
            else:
                shared = policy.shared_channels(use.share_ratio, use.channels, use.groups, None)
            layers[use.layer] = [(ALL, shared, _all_rows(use, shared))]
            if not shared.all():
                if budget is not None:
                    budget.take('rows', use.groups * use.max_channels)
                owners = specific_owners(owner_sets, use.layer, task)
                layers[use.layer].append((owners, ~shared, _all_rows(use, ~shared)))
        weights[use.run] = tuple(UsedRows(use, *found) for found in layers[use.layer])
    # A mask is whole bytes.
    if bits is not None and (len(bits) - position not in range(8) or bits[position:].any()):
        raise ValueError(f'mask of {label!r} has {len(bits)} bits, not {position}')
    return Region(label, weights, frozenset(earlier))


def _all_rows(use: ParamUse, chosen: np.ndarray) -> np.ndarray:
    """Of all rows of a parameter, (groups * max_channels,), those that are chosen of the used."""
    rows = np.zeros((use.groups, use.max_channels), bool)
    rows[:, : use.channels] = chosen
    return rows.reshape(-1)


def mask_bits(ledger: Ledger, spec: SubnetSpec) -> np.ndarray | None:
    """The bits that ``region_of`` takes; None where no layer is under the mask policy."""
    layers = {}
    for use in ledger.layout.uses(spec):
        if ledger.sharing[use.role].has_scores:
            layers[use.layer] = ledger.shared_rows(use).reshape(-1)
    return np.concatenate(list(layers.values())) if layers else None
