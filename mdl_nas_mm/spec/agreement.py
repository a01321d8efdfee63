"""Share ratios from how far the tasks' gradients agree, before any search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from .layer_counts import layer_of
from .ledger import Ledger
from .space import SearchSpace
from .spec import JointSpec, SubnetSpec


def pair_name(first: str, second: str) -> str:
    """What a measurement calls two tasks."""
    return f'{first}, {second}'


def tasks_of_pair(name: str) -> tuple[str, str]:
    """The two tasks of a ``pair_name``."""
    first, _, second = name.partition(', ')
    return first, second


@dataclass(frozen=True)
class _RatioPlace:
    """A share ratio that is chosen: of one block, or of all blocks of a stage that are alike."""

    stage: int
    blocks: tuple[int, ...]
    names: tuple[str, ...]
    choices: tuple[float, ...]

    def put(self, spec: SubnetSpec, ratio: float) -> SubnetSpec:
        """The architecture with another ratio here."""
        stages = list(spec.stages)
        blocks = list(stages[self.stage].blocks)
        for i in self.blocks:
            blocks[i] = replace(blocks[i], **dict.fromkeys(self.names, ratio))
        stages[self.stage] = replace(stages[self.stage], blocks=tuple(blocks))
        return SubnetSpec(tuple(stages), spec.parts)


def propose_ratios(
    conflicts: Mapping[str, Any],
    joint: JointSpec,
    spaces: Mapping[str, SearchSpace],
    ledger: Ledger,
) -> JointSpec:
    """Architectures that share less where gradients disagree.

    All share ratios of all tasks are put in the order of the mean cosine of the task's gradients
    with those of the others, in the layers that the ratio is of. Each choice of the space is then
    taken by equally many, the one that shares the least by those with the lowest cosines.

    Args:
        conflicts: what ``engine.conflicts.measure_conflicts`` gives.
        joint: the architectures, whose share ratios are replaced where there are cosines.
        spaces: task -> the choices.
        ledger: says which end of the choices shares more.

    Raises:
        ValueError: there are cosines for none of the share ratios.
    """
    cosines = _cosines(conflicts)
    found = []
    for task, spec in joint.items():
        for place in _places(spec, spaces[task]):
            layers = _layers_of(place, spec, ledger)
            values = [value for layer in layers for value in cosines.get((task, layer), ())]
            if values:
                found.append((fmean(values), task, place))
    if not found:
        raise ValueError(
            'conflicts: nothing was measured in layers whose share ratio can be chosen; '
            'measure a supernet that shares a part of its layers'
        )
    found.sort(key=lambda each: each[0])
    rising = _shares_more_at_the_end(joint, spaces, ledger)
    specs = dict(joint)
    for rank, (_, task, place) in enumerate(found):
        choices: Sequence[float] = place.choices if rising else place.choices[::-1]
        specs[task] = place.put(specs[task], choices[rank * len(choices) // len(found)])
    return JointSpec(specs)


def _cosines(conflicts: Mapping[str, Any]) -> dict[tuple[str, str], list[float]]:
    """Task and layer -> its mean cosines with the other tasks."""
    found: dict[tuple[str, str], list[float]] = {}
    for layer in conflicts['layers']:
        for pair, of_pair in layer['cosine'].items():
            for task in tasks_of_pair(pair):
                found.setdefault((task, layer['layer']), []).append(of_pair['mean'])
    return found


def _places(spec: SubnetSpec, space: SearchSpace) -> Iterator[_RatioPlace]:
    """The share ratios of the backbone that have a choice."""
    for i, (stage, own) in enumerate(zip(spec.root.stages, space.root.stages)):
        every = tuple(range(len(stage.blocks)))
        for blocks in [every] if own.per_stage else [(j,) for j in every]:
            choices = own.blocks[blocks[0]]
            tied = choices.tied()
            for dimension in choices.dimensions:
                if dimension.is_ratio and dimension.name not in tied:
                    options = choices.named[dimension.name]
                    followers = (d.name for d in choices.dimensions if d.name in tied)
                    names = [n for n in followers if _follows(n, dimension.name, choices)]
                    if len(options) > 1:
                        yield _RatioPlace(i, blocks, (dimension.name, *names), tuple(options))


def _follows(name: str, other: str, choices: Any) -> bool:
    by_name = {dimension.name: dimension for dimension in choices.dimensions}
    return by_name[name].tied_to == other


def _layers_of(place: _RatioPlace, spec: SubnetSpec, ledger: Ledger) -> list[str]:
    """The layers that a share ratio is of: those whose uses change with it."""
    ends = [place.put(spec, place.choices[end]).root for end in (0, -1)]
    pairs = zip(*(ledger.layout.uses(each) for each in ends))
    changed = (a.name for a, b in pairs if a.share_ratio != b.share_ratio)
    return list(dict.fromkeys(map(layer_of, changed)))


def _shares_more_at_the_end(
    joint: JointSpec, spaces: Mapping[str, SearchSpace], ledger: Ledger
) -> bool:
    """Whether the highest share ratios share the most; a threshold of scores shares the least."""
    shared = []
    for end in (0, -1):
        specs = {}
        for task, spec in joint.items():
            for place in _places(spec, spaces[task]):
                spec = place.put(spec, place.choices[end])
            specs[task] = spec
        shared.append(ledger.count(JointSpec(specs)).shared)
    return shared[1] >= shared[0]
