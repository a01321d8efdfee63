"""Which elements of a difference stay, after its gates were trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mdl_nas_mm.utils.amounts import is_number

from .differences import Difference, SparseWeight
from .gates import GRAINS, nonzero_probability, settled

CRITERIA = ('gate', 'size')


def fix_places(
    state: Mapping[str, Tensor], density: float | None = None, by: str = 'gate'
) -> Difference:
    """The difference that is left of a trained one; nothing in it is random.

    Args:
        state: that of a ``GatedDifference``, as a checkpoint has it under ``method.step``.
        density: the part of all elements to keep; without it, those whose gates without chance
            are open.
        by: ``gate`` keeps those that are most likely there, of equally likely ones the largest;
            ``size`` the largest. Where no gates are of elements whole rows are kept, by the root
            of their mean square.

    Returns:
        Values are differences times gates without chance.

    Raises:
        ValueError: the density is outside of its range, or there is no such criterion.
    """
    if density is not None:
        check_density(density, 'places')
    if by not in CRITERIA:
        raise ValueError(f'places.by: {by!r}, expected one of {CRITERIA}')
    names = [key.partition('.')[2] for key in state if key.startswith('differences.')]
    values, likely = {}, {}
    for name in names:
        logits = [state[key] for g in GRAINS if (key := f'gates.{name}.{g}') in state]
        gate = probability = torch.ones(1, 1)
        for each in logits:
            gate, probability = gate * settled(each), probability * nonzero_probability(each)
        values[name] = gate * state[f'differences.{name}']
        likely[name] = probability
    if density is None:
        chosen = {name: value != 0 for name, value in values.items()}
    else:
        by_rows = not any(f'gates.{name}.elements' in state for name in names)
        chosen = _best(values, likely if by == 'gate' else {}, density, by_rows)
    weights = {}
    for name, value in values.items():
        # What was never changed is the base's.
        kept = chosen[name] & (state[f'differences.{name}'] != 0)
        places = kept.flatten().nonzero()[:, 0]
        found = value.flatten()[places].clone()
        weights[name.replace('/', '.')] = SparseWeight(tuple(value.shape), places, found)
    return Difference(weights)


def _best(
    values: Mapping[str, Tensor], likely: Mapping[str, Tensor], density: float, by_rows: bool
) -> dict[str, Tensor]:
    """Name -> boolean (rows, columns): the elements to keep of all weights.

    Args:
        values: (rows, columns).
        likely: how likely each is there, of a shape that broadcasts; empty where the size decides,
            as it does between those that are equally likely.
        density: the part of all elements to keep, at most.
        by_rows: whether rows are kept as a whole.
    """
    sizes, scores, counts = [], [], []
    for name, value in values.items():
        size = value.square().mean(1, keepdim=True).sqrt() if by_rows else value.abs()
        score = likely.get(name, size).expand_as(size)
        sizes.append(size.flatten())
        scores.append(score.flatten())
        counts.append(torch.full_like(size, value.numel() // size.numel()).flatten())
    size, score, count = map(torch.cat, (sizes, scores, counts))
    order = size.argsort(descending=True, stable=True)
    order = order[score[order].argsort(descending=True, stable=True)]
    # 0.29 of 100 is 29, and 28.99... in floats.
    most = round(density * sum(value.numel() for value in values.values()), 6)
    most = max(most, float(count[order[0]]))
    taken = torch.zeros(len(order), dtype=torch.bool)
    taken[order] = count[order].double().cumsum(0) <= most
    parts = taken.split([len(each) for each in sizes])
    return {
        name: part.view(len(value), -1).expand_as(value)
        for (name, value), part in zip(values.items(), parts)
    }


def check_density(density: Any, where: str) -> None:
    """Raises ValueError for a density outside (0, 1]."""
    if not is_number(density) or not 0 < density <= 1:
        raise ValueError(f'{where}: density {density!r}, expected a number above 0 and up to 1')
