"""Freezing the rest: what no subnet of a step used keeps its value and its optimizer state.

The paper updates a sampled subnet's weights "while freezing the rest" (supplement, C). A
parameter that was sliced has a gradient of zero outside the slice, but weight decay and momentum
would still move it there.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import reduce

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.supernet import Supernet
from mdl_nas_mm.spec import SubnetSpec, footprint, score_footprint


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
) -> dict[Tensor, Tensor]:
    """Parameter -> mask of its used elements, for those that the passes used only in part.

    Passes of tasks whose weights are not here count for the shared ones.
    """
    parameters, ledger, passes = dict(elastic.named_parameters()), elastic.ledger(), list(passes)
    runs: dict[str, list[tuple[int, np.ndarray]]] = {}
    used = footprint(ledger, passes) | score_footprint(ledger, passes)
    for (name, first_column), lengths in used.items():
        runs.setdefault(name, []).append((first_column, lengths))
    masks: dict[Tensor, Tensor] = {}
    for name, found in runs.items():
        parameter = parameters.get(name)
        if parameter is None or sum(lengths.sum() for _, lengths in found) == parameter.numel():
            continue
        of_runs = [used_mask(parameter, lengths, first) for first, lengths in found]
        masks[parameter] = reduce(torch.logical_or, of_runs)
    return masks


@contextmanager
def freeze_rest(optimizer: Optimizer, masks: dict[Tensor, Tensor]) -> Generator[None]:
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
            parameter.copy_(torch.where(mask, parameter, value))
            for key, tensor in optimizer.state[parameter].items():
                if _is_elementwise(tensor, parameter):
                    old = state.get(key)
                    # The first step makes the state, of zeros in torch's optimizers but Rprop.
                    tensor.copy_(torch.where(mask, tensor, 0.0 if old is None else old))


def _clone_state(optimizer: Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    state = optimizer.state.get(parameter, {})
    return {key: t.clone() for key, t in state.items() if _is_elementwise(t, parameter)}


def _is_elementwise(value: object, parameter: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == parameter.shape
