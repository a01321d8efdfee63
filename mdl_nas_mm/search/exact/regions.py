"""What many architectures share, cut into regions that each of them shares wholly or not at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mdl_nas_mm.spec import Ledger, ParamUse, SubnetSpec
from mdl_nas_mm.spec.batch_ledger import layers_of


def shared_regions(ledger: Ledger, specs: Sequence[SubnetSpec]) -> tuple[np.ndarray, np.ndarray]:
    """Cuts the shared elements into regions, of which there are far fewer than elements.

    So what a joint spec shares is the sum of the sizes of the regions that any of its
    architectures shares.

    Returns:
        The regions' sizes in elements, (regions,), and which of them each architecture shares,
        boolean (len(specs), regions).
    """
    layout = ledger.layout
    slots: dict[str, tuple[dict[tuple, int], np.ndarray]] = {}
    for row, spec in enumerate(specs):
        for part in layout.parts(spec):
            name = layout.part_uses(part)[0].name
            if name not in slots:
                slots[name] = {}, np.full(len(specs), -1)
            parts, numbers = slots[name]
            numbers[row] = parts.setdefault(part, len(parts))
    sizes, members = [], []
    for parts, numbers in slots.values():
        size, shares = _slot_regions(ledger, list(parts))
        # One more row, the last, for architectures without this part: number -1.
        shares = np.concatenate((shares, np.zeros((1, len(size)), bool)))
        sizes.append(size)
        members.append(shares[numbers])
    return np.concatenate(sizes), np.concatenate(members, axis=1)


def _slot_regions(ledger: Ledger, parts: Sequence[tuple]) -> tuple[np.ndarray, np.ndarray]:
    """Sizes (regions,) and membership (parts, regions) of parts of which a spec has one."""
    layers = zip(*(layers_of(ledger.layout.part_uses(part)) for part in parts), strict=True)
    sizes, members = zip(*(_layer_regions(ledger, uses) for uses in layers), strict=True)
    shares, sizes = np.concatenate(members, axis=1), np.concatenate(sizes)
    # Layers that choose alike, such as q and k, have regions that come together.
    shares, which = _distinct_columns(shares)
    sizes = np.bincount(which, sizes, minlength=shares.shape[1])
    used = shares.any(axis=0)
    return sizes[used], shares[:, used]


def _layer_regions(
    ledger: Ledger, layers: Sequence[Sequence[ParamUse]]
) -> tuple[np.ndarray, np.ndarray]:
    """Regions of one layer: rows that are shared together, between two numbers of columns."""
    masks: dict[tuple, np.ndarray] = {}
    for uses in layers:
        first = uses[0]
        rows = np.zeros((first.groups, first.max_channels), bool)
        rows[:, : first.channels] = ledger.shared_rows(first)
        masks.setdefault((first.channels, first.share_ratio), rows.reshape(-1))
    rows, which = _distinct_columns(np.stack(list(masks.values())))
    numbers = {key: i for i, key in enumerate(masks)}
    rows_of = rows[[numbers[uses[0].channels, uses[0].share_ratio] for uses in layers]]
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
