"""What a joint spec costs all tasks together: what the budget of a search is of.

A cost has whole numbers, so that nothing depends on the order in which it is added up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.backbone import of_task
from mdl_nas_mm.elastic.latency_table import LatencyTable
from mdl_nas_mm.registry import SEARCH_COSTS
from mdl_nas_mm.spec import BatchLedger, JointSpec, Ledger, SearchSpace, SubnetSpec
from mdl_nas_mm.tasks.part_flops import PartFlops
from mdl_nas_mm.tasks.pass_groups import PassGroup
from mdl_nas_mm.tasks.timed_layers import PartTimes
from mdl_nas_mm.utils.budgets import parse_count, parse_milliseconds

from .budget import floor_spec, smallest_sizes
from .exact.choices import Costs
from .exact.regions import shared_regions
from .measures import flops_of, latency_of


class Cost(Protocol):
    """A cost of joint specs. Registered in ``SEARCH_COSTS``, ``search_cfg.cost`` may name it.

    Attributes:
        unit: of the totals, to show them.
    """

    unit: str

    @staticmethod
    def parse_budget(budget: int | float | str) -> int:
        """A total as people write it in a config, or ValueError."""

    def totals(self, joints: Sequence[JointSpec]) -> np.ndarray:
        """(len(joints),) whole numbers, of joint specs of one set of tasks."""

    def floors(self, spaces: Mapping[str, SearchSpace]) -> dict[str, SubnetSpec]:
        """Task -> its cheapest sizes and ratios at the largest depth, which candidates that are
        too expensive are pulled towards; or ValueError for spaces that it cannot count in."""


class SplitCost(Cost, Protocol):
    """A cost that the exact selection can work with: the parts of it add up."""

    def split(self, specs: Mapping[str, Sequence[SubnetSpec]]) -> Costs:
        """What architectures of each task cost for themselves, and which regions they share."""


@SEARCH_COSTS.register_module()
class ParameterCost:
    """P_share + sum of P_spe, shared parameters counted once (Eq. 11).

    Args:
        ledger: counts the parameters of joint specs.
        with_heads: whether what lies outside the backbones counts.
    """

    unit = 'parameters'

    def __init__(self, ledger: Ledger, with_heads: bool = True) -> None:
        self.ledger, self.batch = ledger, BatchLedger(ledger, with_heads)

    @staticmethod
    def parse_budget(budget: int | float | str) -> int:
        return parse_count(budget, 'budget', 'parameters, such as 235M or 235000000')

    def totals(self, joints: Sequence[JointSpec]) -> np.ndarray:
        return self.batch.totals(joints)

    def floors(self, spaces: Mapping[str, SearchSpace]) -> dict[str, SubnetSpec]:
        for space in spaces.values():
            _check_within(space, self.ledger.layout.space, "the ledger's")
        tasks = tuple(spaces)
        found = {space: floor_spec(space, self.ledger, tasks) for space in set(spaces.values())}
        return {task: found[space] for task, space in spaces.items()}

    def split(self, specs: Mapping[str, Sequence[SubnetSpec]]) -> Costs:
        batch = self.batch
        pairs = [(task, batch.counted(spec)) for task, group in specs.items() for spec in group]
        sizes, shares = shared_regions(self.ledger, pairs)
        own = [
            batch.specific(batch.encode(group, task)).astype(np.float64)
            for task, group in specs.items()
        ]
        cuts = np.cumsum([len(group) for group in specs.values()])[:-1]
        shares = np.split(shares.astype(np.float64), cuts)
        return Costs(own, shares, sizes, batch.head_total(specs))


class SumOfTasks:
    """A cost that each task pays for itself, whatever the others have.

    Of tasks that share a pass through the backbone, the first pays it.

    Args:
        measures: task -> what one of its architectures costs, a whole number.
        whole: the space in which that can be told.
    """

    unit: str

    def __init__(
        self, measures: Mapping[str, Callable[[SubnetSpec], float]], whole: SearchSpace
    ) -> None:
        self.measures, self.whole = measures, whole

    def totals(self, joints: Sequence[JointSpec]) -> np.ndarray:
        sums = [sum(self.measures[task](spec) for task, spec in joint.items()) for joint in joints]
        return np.array(sums, np.int64)

    def floors(self, spaces: Mapping[str, SearchSpace]) -> dict[str, SubnetSpec]:
        for space in spaces.values():
            _check_within(space, self.whole, "the supernet's")
        return {task: smallest_sizes(space) for task, space in spaces.items()}

    def split(self, specs: Mapping[str, Sequence[SubnetSpec]]) -> Costs:
        own = [
            np.array([self.measures[task](spec) for spec in group], np.float64)
            for task, group in specs.items()
        ]
        return Costs(own, [np.zeros((len(costs), 0)) for costs in own], np.zeros(0))


@SEARCH_COSTS.register_module()
class FlopsCost(SumOfTasks):
    """The sum of the tasks' multiply-adds on one image each, in backbones and elastic parts.

    Tasks that share a pass have the backbone's once.

    Args:
        backbone: counts its own.
        part_flops: counts those of elastic parts.
        images: task -> config of the loader of images that candidates are scored on.
        pass_groups: tasks that share a pass.
        input_size: (height, width), or task -> (height, width); by default that of the images.
    """

    unit = 'multiply-adds'

    def __init__(
        self,
        backbone: ElasticBackbone,
        part_flops: PartFlops,
        images: Mapping[str, Mapping],
        pass_groups: Sequence[PassGroup] = (),
        input_size: tuple[int, int] | Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        measures, followers = {}, _followers(pass_groups)
        for task, loader in images.items():
            size = of_task(input_size, task, 'input_size')
            _check_size(task, followers.get(task), size, input_size)
            has_pass = task not in followers
            measures[task] = flops_of(
                backbone, part_flops, task, loader, size, has_pass, _others(task, pass_groups)
            ).cost
        super().__init__(measures, backbone.space)

    @staticmethod
    def parse_budget(budget: int | float | str) -> int:
        return parse_count(budget, 'budget', 'multiply-adds of all tasks, such as 15G')


@SEARCH_COSTS.register_module()
class LatencyCost(SumOfTasks):
    """The sum of the backbones' latencies on one machine, each of one batch of its task.

    The time of necks and heads is in it where a table has it. Tasks that share a pass have the
    backbone's once.

    Args:
        backbone: whose architectures are measured.
        part_times: of necks and heads that tables have.
        spaces: task -> the choices that its table has to have.
        tables: task -> file that ``mdl-nas latency`` wrote; of tasks that share a pass, that of
            the first.
        pass_groups: tasks that share a pass.
        input_size: as for ``FlopsCost``; by default that of each table.
        poor_tables: take also tables whose predictions do not follow what was measured.
    """

    unit = 'microseconds'

    def __init__(
        self,
        backbone: ElasticBackbone,
        part_times: PartTimes,
        spaces: Mapping[str, SearchSpace],
        tables: Mapping[str, str],
        pass_groups: Sequence[PassGroup] = (),
        input_size: tuple[int, int] | Mapping[str, tuple[int, int]] | None = None,
        poor_tables: bool = False,
    ) -> None:
        followers = _followers(pass_groups)
        expected = set(spaces) - set(followers)
        if set(tables) != expected:
            alone = 'each pass' if pass_groups else 'each task'
            raise ValueError(
                f'search_cfg.cost: LatencyCost has tables of {sorted(tables)}, expected one of '
                f'{alone}, {sorted(expected)}'
            )
        loaded = {task: LatencyTable.load(file) for task, file in tables.items()}
        measures = {}
        for task, space in spaces.items():
            size, first = of_task(input_size, task, 'input_size'), followers.get(task)
            _check_size(task, first, size, input_size)
            table, others = loaded[task if first is None else first], _others(task, pass_groups)
            given = (task, table, size, space, poor_tables, first is None, others)
            measure = latency_of(backbone, part_times, *given)
            measures[task] = partial(_microseconds, measure.cost)
        super().__init__(measures, backbone.space)

    @staticmethod
    def parse_budget(budget: int | float | str) -> int:
        return round(1000 * parse_milliseconds(budget, 'budget'))


def _followers(pass_groups: Sequence[PassGroup]) -> dict[str, str]:
    """Task -> the first of those that it shares a pass with, which pays it."""
    return {task: group[0] for group in pass_groups for task in group[1:]}


def _others(task: str, pass_groups: Sequence[PassGroup]) -> tuple[str, ...]:
    """The tasks that have their maps of the pass that a task pays."""
    return next((group[1:] for group in pass_groups if group[0] == task), ())


def _check_size(task: str, first: str | None, size: Any, sizes: Any) -> None:
    """Raises ValueError where tasks that share a pass are given different sizes of images."""
    if first is not None and size != of_task(sizes, first, 'input_size'):
        raise ValueError(
            f'search_cfg.cost: input_size of {first!r} and {task!r}, which share a pass, differ'
        )


def _microseconds(milliseconds: Callable[[SubnetSpec], float], spec: SubnetSpec) -> int:
    return round(1000 * milliseconds(spec))


def _check_within(space: SearchSpace, whole: SearchSpace, owner: str) -> None:
    """Raises ValueError unless the extremes of ``space`` lie in the other one, without parts."""
    space, whole = space.root, whole.root
    for spec in (space.smallest(0), space.smallest(-1), space.largest(0), space.largest(-1)):
        try:
            whole.check(spec)
        except ValueError as error:
            raise ValueError(f'search: the space is not part of {owner}: {error}') from None
