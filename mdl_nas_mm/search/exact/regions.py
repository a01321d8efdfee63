"""What architectures may share, cut into regions that each of them uses wholly or not at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mdl_nas_mm.spec import Ledger, Owners, ParamUse, SubnetSpec
from mdl_nas_mm.spec.batch_ledger import uses_by_layer
from mdl_nas_mm.spec.owners import ALL


def shared_regions(
    ledger: Ledger, pairs: Sequence[tuple[str, SubnetSpec]]
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts the elements that all or some tasks own into regions, far fewer than elements.

    So what a joint spec stores of these is the sum of the sizes of the regions that any of its
    architectures uses.

    Args:
        ledger: what counts them.
        pairs: tasks and architectures.

    Returns:
        The regions' sizes in elements, (regions,), and which of them each pair uses, boolean
        (len(pairs), regions).
    """
    layout = ledger.layout
    slots: dict[str, tuple[dict[tuple, int], np.ndarray]] = {}
    for row, (task, spec) in enumerate(pairs):
        owner = task if ledger.owner_sets else ''
        for part in layout.parts(spec):
            name = layout.part_uses(part)[0].name
            if name not in slots:
                slots[name] = {}, np.full(len(pairs), -1)
            parts, numbers = slots[name]
            numbers[row] = parts.setdefault((owner, part), len(parts))
    sizes, members = [], []
    for parts, numbers in slots.values():
        size, shares = _slot_regions(ledger, list(parts))
        # One more row, the last, for architectures without this part: number -1.
        shares = np.concatenate((shares, np.zeros((1, len(size)), bool)))
        sizes.append(size)
        members.append(shares[numbers])
    return np.concatenate(sizes), np.concatenate(members, axis=1)


def _slot_regions(
    ledger: Ledger, parts: Sequence[tuple[str, tuple]]
) -> tuple[np.ndarray, np.ndarray]:
    """Sizes (regions,) and membership (parts, regions) of tasks' parts of which each has one."""
    layers = zip(*(uses_by_layer(ledger.layout.part_uses(part)) for _, part in parts), strict=True)
    tasks = [task for task, _ in parts]
    found = [
        _layer_regions(ledger, uses, owners, tasks)
        for uses in layers
        for owners in (ALL, *ledger.several_owners(uses[0][0]))
    ]
    sizes, members = zip(*found, strict=True)
    shares, sizes = np.concatenate(members, axis=1), np.concatenate(sizes)
    # Layers that choose alike, such as q and k, have regions that come together.
    shares, which = _distinct_columns(shares)
    sizes = np.bincount(which, sizes, minlength=shares.shape[1])
    used = shares.any(axis=0)
    return sizes[used], shares[:, used]


def _layer_regions(
    ledger: Ledger, layers: Sequence[Sequence[ParamUse]], owners: Owners, tasks: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Regions of one layer: rows that are used together, between two numbers of columns."""
    masks: dict[tuple, np.ndarray] = {}
    keys = [
        (uses[0].channels, uses[0].share_ratio, task in owners)
        for uses, task in zip(layers, tasks, strict=True)
    ]
    for uses, key in zip(layers, keys):
        if key in masks:
            continue
        first = uses[0]
        rows = np.zeros((first.groups, first.max_channels), bool)
        if key[2]:
            shared = ledger.shared_rows(first)
            rows[:, : first.channels] = shared if owners.are_all else ~shared
        masks[key] = rows.reshape(-1)
    rows, which = _distinct_columns(np.stack(list(masks.values())))
    numbers = {key: i for i, key in enumerate(masks)}
    rows_of = rows[[numbers[key] for key in keys]]
    columns = np.array([sum(use.columns for use in uses) for uses in layers])
    edges = np.unique(columns)
    heights = np.bincount(which, minlength=rows.shape[1])
    sizes = heights[:, None] * np.diff(edges, prepend=0)
    shares = rows_of[:, :, None] & (columns[:, None, None] >= edges)
    return sizes.reshape(-1), shares.reshape(len(layers), -1)


def _distinct_columns(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different columns of a boolean matrix, and the number of each column among them."""
    packed = np.ascontiguousarray(np.packbits(matrix, axis=0).T)
    # Whole columns as single values sort much faster than ``np.unique`` with an axis.
    keys = packed.view(f'V{packed.shape[1]}').reshape(-1)
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return matrix[:, first], which.reshape(-1)
