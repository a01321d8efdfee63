"""The smallest joint spec, and budgets that it does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mdl_nas_mm.spec import JointSpec, Ledger, SearchSpace, SubnetSpec

if TYPE_CHECKING:
    from .costs import Cost


def check_budget(budget: int, spaces: Mapping[str, SearchSpace], cost: Cost) -> None:
    """Raises ValueError, naming the smallest possible total, for a budget below it."""
    _, least = smallest_total(spaces, cost)
    if budget < least:
        raise ValueError(
            f'search: the budget of {budget:,} {cost.unit} is below the smallest possible total, '
            f'{least:,}'
        )


def smallest_total(spaces: Mapping[str, SearchSpace], cost: Cost) -> tuple[JointSpec, int]:
    """The joint spec of the smallest sizes and best ratios (see ``floor_spec``), and its total."""
    floors = cost.floors(spaces)
    joint = JointSpec({task: _cut(floors[task], space) for task, space in spaces.items()})
    return joint, int(cost.totals([joint])[0])


def smallest_sizes(space: SearchSpace) -> SubnetSpec:
    """The smallest sizes at the largest depth."""
    stages = []
    for stage in space.stages:
        blocks = tuple(block.extreme(0, -1) for block in stage.blocks)
        stages.append(replace(stage.extreme(0, -1), blocks=blocks))
    return SubnetSpec(tuple(stages), space.parts)


def floor_spec(space: SearchSpace, ledger: Ledger, tasks: Sequence[str]) -> SubnetSpec:
    """The smallest sizes at the largest depth, with the ratios of the fewest parameters.

    Where the blocks of a stage have to be alike, these are the ratios at the smallest depth. At
    the smallest depth it is what each task takes in the joint spec of the fewest parameters.
    It is exact, for every policy and every mix of them:

    1. One architecture for all K tasks is enough. Let P_k be the elements that task k uses and
       S_k the shared ones among them. The union of all S_k is at least as large as their mean,
       so total = |union S_k| + sum |P_k - S_k| >= mean over k of (|S_k| + K |P_k - S_k|), and
       term k of this mean is the total if every task takes the architecture of task k.
    2. That architecture has the smallest sizes. At a fixed share ratio one more channel adds one
       row to P and at most one to S, so K |P| - (K - 1) |S|, which is the total, grows with
       every channel, column and block.
    3. Its share ratios are found by counting, block by block, or stage by stage where the blocks
       of a stage are alike, as these add up independently. Neither extreme is always best: a
       higher ratio shares more under the sequential policy, but less under the mask policy with
       a score threshold, and both may rule one block.

    Heads only add a constant. Where tasks have different spaces, or some own weights together,
    step 1 does not hold: a joint spec of their floors is a small one, and no smaller one is looked
    for.
    """
    floor = smallest_sizes(space)
    for i, stage in enumerate(space.stages):
        every = range(len(stage.blocks))
        for indices in [every] if stage.per_stage else [[j] for j in every]:
            first = indices[0]
            blocks = stage.blocks[first].with_every_ratio(floor.stages[i].blocks[first])
            options = [_with_block(floor, i, indices, block) for block in blocks]
            counted = [_cut(spec, space) for spec in options] if stage.per_stage else options
            joints = [JointSpec(dict.fromkeys(tasks, spec)) for spec in counted]
            totals = [ledger.count(joint).total for joint in joints]
            floor = options[totals.index(min(totals))]
    return floor


def _with_block(spec: SubnetSpec, stage: int, indices: Sequence[int], block: Any) -> SubnetSpec:
    """The spec with another block in some places of a stage."""
    stages = list(spec.stages)
    blocks = list(stages[stage].blocks)
    for j in indices:
        blocks[j] = block
    stages[stage] = replace(stages[stage], blocks=tuple(blocks))
    return replace(spec, stages=tuple(stages))


def _cut(floor: SubnetSpec, space: SearchSpace) -> SubnetSpec:
    """The floor at the smallest depth."""
    stages = [
        replace(stage, blocks=stage.blocks[: choices.depth[0]])
        for stage, choices in zip(floor.stages, space.stages, strict=True)
    ]
    return replace(floor, stages=tuple(stages))
