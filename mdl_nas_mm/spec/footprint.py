"""Which elements of which weights a set of subnets uses, element by element."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from .layout import ParamUse
from .ledger import Ledger
from .owners import score_name, specific_name
from .spec import SubnetSpec


def footprint(ledger: Ledger, passes: Iterable[tuple[str, SubnetSpec]]) -> dict[str, np.ndarray]:
    """What the given (task, spec) pairs use, as the union over all of them.

    Returns:
        State-dict key -> for each row of the parameter, how many of its first elements are in
        use; shape (groups * max_channels,). Keys are those of shared and of specific
        parameters; what no pass uses is absent.
    """
    lengths: dict[str, np.ndarray] = {}
    for task, spec in passes:
        for use in ledger.layout.uses(spec):
            shared = ledger.shared_rows(use)
            policy = ledger.sharing[use.role]
            if policy.has_shared:
                _join(lengths, use.name, row_lengths(use, shared))
            if policy.has_specific:
                _join(lengths, specific_name(use.name, task), row_lengths(use, ~shared))
    return lengths


def score_footprint(
    ledger: Ledger, passes: Iterable[tuple[str, SubnetSpec]]
) -> dict[str, np.ndarray]:
    """Which scores of the mask policy the given (task, spec) pairs use.

    Returns:
        State-dict key -> 1 for each score of a channel in use, 0 for the others; shape
        (groups * max_channels,).
    """
    lengths: dict[str, np.ndarray] = {}
    for _, spec in passes:
        for use in ledger.layout.uses(spec):
            if ledger.sharing[use.role].has_scores:
                every = np.ones((use.groups, use.channels), bool)
                _join(lengths, score_name(use.layer), row_lengths(replace(use, columns=1), every))
    return lengths


def row_lengths(use: ParamUse, rows: np.ndarray) -> np.ndarray:
    """Elements in use of each row, given which used rows (groups, channels) are meant."""
    lengths = np.zeros((use.groups, use.max_channels), np.int64)
    lengths[:, : use.channels] = rows * use.columns
    return lengths.reshape(-1)


def _join(lengths: dict[str, np.ndarray], name: str, new: np.ndarray) -> None:
    lengths[name] = np.maximum(lengths[name], new) if name in lengths else new
