"""Freezing the rest: what no subnet of a step used keeps its value and its optimizer state.

The paper updates a sampled subnet's weights "while freezing the rest" (supplement, C). A
parameter that was sliced has a gradient of zero outside the slice, but weight decay and momentum
would still move it there.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.supernet import Supernet
from mdl_nas_mm.spec import Ledger, SubnetSpec, footprint, score_footprint

_Masks = dict[Tensor, Tensor]
# Where nothing that is trained chooses channels: the ledger, which remembers what it works out,
# and the last passes with their masks, as one architecture that is trained has the same each time.
_KEPT: WeakKeyDictionary[object, tuple[Ledger, object, _Masks]] = WeakKeyDictionary()


def used_mask(parameter: Tensor, lengths: np.ndarray, first_column: int = 0) -> Tensor:
    """Boolean mask, of the parameter's shape, of what is in use of a run of its columns.

    These are the first ``lengths[i]`` elements of row i, from the run's first column on.
    """
    ends = torch.from_numpy(lengths).to(parameter.device)[:, None]
    columns = torch.arange(parameter.numel() // len(lengths), device=parameter.device)
    used = columns < ends + first_column
    return (used & (columns >= first_column) if first_column else used).view(parameter.shape)


def partial_masks(
    elastic: ElasticBackbone | Supernet, passes: Iterable[tuple[str, SubnetSpec]]
) -> _Masks:
    """Parameter -> mask of its used elements, for those that the passes used only in part.

    Passes of tasks whose weights are not here count for the shared ones.
    """
    passes, parameters = tuple(passes), dict(elastic.named_parameters())
    now = passes, tuple(parameter.device for parameter in parameters.values())
    ledger, last, masks = _KEPT.get(elastic) or (elastic.ledger(), None, {})
    if now != last:
        masks = _partial_masks(ledger, parameters, passes)
        if not ledger.scores:
            _KEPT[elastic] = ledger, now, masks
    return masks


def _partial_masks(
    ledger: Ledger, parameters: Mapping[str, Tensor], passes: Sequence[tuple[str, SubnetSpec]]
) -> _Masks:
    runs: dict[str, list[tuple[int, np.ndarray]]] = {}
    used = footprint(ledger, passes) | score_footprint(ledger, passes)
    for (name, first_column), lengths in used.items():
        runs.setdefault(name, []).append((first_column, lengths))
    masks: _Masks = {}
    for name, found in runs.items():
        parameter = parameters.get(name)
        if parameter is None or sum(lengths.sum() for _, lengths in found) == parameter.numel():
            continue
        of_runs = [used_mask(parameter, lengths, first) for first, lengths in found]
        masks[parameter] = reduce(torch.logical_or, of_runs)
    return masks


@contextmanager
def freeze_rest(optimizer: Optimizer, masks: _Masks) -> Generator[None]:
    """Undoes, after the optimizer's step inside the block, what it did outside the masks."""
    before = {
        parameter: (parameter.detach().clone(), _clone_state(optimizer, parameter))
        for parameter in masks
        if parameter.grad is not None
    }
    yield
    with torch.no_grad():
        for parameter, (value, state) in before.items():
            mask = masks[parameter]
            torch.where(mask, parameter, value, out=parameter)
            for key, tensor in optimizer.state[parameter].items():
                if _is_elementwise(tensor, parameter):
                    # The first step makes the state, of zeros in torch's optimizers but Rprop.
                    old = state.get(key)
                    torch.where(
                        mask, tensor, tensor.new_zeros(()) if old is None else old, out=tensor
                    )


def _clone_state(optimizer: Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    state = optimizer.state.get(parameter, {})
    return {key: t.clone() for key, t in state.items() if _is_elementwise(t, parameter)}


def _is_elementwise(value: object, parameter: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == parameter.shape
