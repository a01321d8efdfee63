"""Which elements of which weights a set of subnets uses, element by element."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .layout import Run
from .ledger import Ledger
from .owners import weight_name
from .spec import SubnetSpec

# State-dict key and first column of a run -> for each row of the parameter, how many of the run's
# first elements are in use; shape (groups * max_channels,).
Footprint = dict[Run, np.ndarray]


def footprint(ledger: Ledger, passes: Iterable[tuple[str, SubnetSpec]]) -> Footprint:
    """What the given (task, spec) pairs use, as the union over all of them.

    Keys are those of shared and of specific parameters; what no pass uses is absent.
    """
    lengths: Footprint = {}
    for task, spec in passes:
        for use in ledger.uses(spec, task):
            for owners, rows in ledger.weights(use, task):
                run = weight_name(use.name, owners), use.first_column
                _join(lengths, run, use.row_lengths(rows))
    return lengths


def score_footprint(ledger: Ledger, passes: Iterable[tuple[str, SubnetSpec]]) -> Footprint:
    """The same of what policies have beside weights, such as the mask policy's scores."""
    lengths: Footprint = {}
    for task, spec in passes:
        for use in ledger.uses(spec, task):
            for name, new in ledger.sharing[use.role].used_scores(use, ledger.owners(use, task)):
                _join(lengths, (name, 0), new)
    return lengths


def _join(lengths: Footprint, run: Run, new: np.ndarray) -> None:
    lengths[run] = np.maximum(lengths[run], new) if run in lengths else new
