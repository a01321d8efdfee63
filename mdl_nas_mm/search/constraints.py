"""What an architecture of one task may cost at most, beside the budget of all tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.latency_table import LatencyTable
from mdl_nas_mm.spec import JointSpec, SearchSpace, SubnetSpec
from mdl_nas_mm.tasks import ResolvedConfig
from mdl_nas_mm.tasks.part_flops import PartFlops
from mdl_nas_mm.tasks.timed_layers import PartTimes
from mdl_nas_mm.utils.budgets import parse_count, parse_milliseconds
from mdl_nas_mm.utils.task_names import check_tasks

from .measures import Measure, flops_of, latency_of

# What each is, for who reads the reference.
CONSTRAINT_KEYS = dict(
    flops="The most multiply-adds of backbone and elastic parts on an image, such as `'5G'`.",
    input_size='Height and width of the image; by default as candidates are scored on.',
    latency="The most time, such as `'40ms'`.",
    table='The file of `mdl-nas latency` that time is predicted by.',
    poor_table='Whether a table that predicts its own machine badly is taken, False.',
)


@dataclass(frozen=True)
class Constraint:
    """A limit on the architecture of one task.

    Attributes:
        measure: what an architecture costs.
        limit: what it may cost.
    """

    task: str
    measure: Measure
    limit: float

    def __str__(self) -> str:
        return f'{self.task}: at most {_shown(self.limit, self.measure.unit)}'


class Constraints:
    """All limits on single tasks.

    Args:
        limits: any number of them, several of a task as well.
    """

    def __init__(self, limits: tuple[Constraint, ...] = ()) -> None:
        self.limits = limits

    @classmethod
    def from_config(
        cls,
        cfg: ResolvedConfig,
        backbone: ElasticBackbone,
        part_flops: PartFlops,
        part_times: PartTimes,
        spaces: Mapping[str, SearchSpace],
    ) -> Constraints:
        """Reads ``search_cfg.constraints`` of a resolved joint config.

        It is task -> ``dict(flops='5G', input_size=(height, width))``, multiply-adds of the
        backbone and of elastic parts on one image, by default of the size that candidates are
        scored on; or
        ``dict(latency='40ms', table='latency.json')``, with a table that ``mdl-nas latency``
        wrote, and ``poor_table=True`` to take one that predicts badly; or both.

        Raises:
            ValueError: an unknown task, key or unit, or a table that does not fit.
            FileNotFoundError: there is no such table.
        """
        limits, given = [], (cfg.get('search_cfg') or {}).get('constraints') or {}
        _check_named('search_cfg.constraints', given)
        for task, settings in given.items():
            where = f'search_cfg.constraints.{task}'
            check_tasks(where, [task], cfg.tasks)
            _check_named(where, settings)
            for key in settings:
                if key not in CONSTRAINT_KEYS:
                    raise ValueError(f'{where}: unknown key {key!r}, expected {[*CONSTRAINT_KEYS]}')
            if not settings.keys() & {'flops', 'latency'}:
                raise ValueError(f'{where}: it limits nothing; give flops, latency, or both')
            if ('latency' in settings) != ('table' in settings):
                raise ValueError(f'{where}: latency and its table belong together')
            size = settings.get('input_size')
            if 'flops' in settings:
                images = cfg.search_dataloader[task]
                measure = flops_of(backbone, part_flops, task, images, size)
                example = 'multiply-adds, such as 5G'
                limit = parse_count(settings['flops'], f'{where}.flops', example)
                limits.append(Constraint(task, measure, limit))
            if 'latency' in settings:
                given_table = (LatencyTable.load(settings['table']), size, spaces[task])
                is_poor = settings.get('poor_table', False)
                measure = latency_of(backbone, part_times, task, *given_table, is_poor)
                limit = parse_milliseconds(settings['latency'], f'{where}.latency')
                limits.append(Constraint(task, measure, limit))
        return cls(tuple(limits))

    def allow(self, task: str, spec: SubnetSpec) -> bool:
        """Whether a task may have an architecture."""
        return all(c.measure.cost(spec) <= c.limit for c in self.limits if c.task == task)

    def check(self, smallest: JointSpec) -> None:
        """Raises ValueError for a limit that not even the smallest architectures keep."""
        for constraint in self.limits:
            least = constraint.measure.cost(smallest[constraint.task])
            if least > constraint.limit:
                raise ValueError(
                    f'search: the limit {constraint} is below what the smallest architecture '
                    f'takes, {_shown(least, constraint.measure.unit)}'
                )


def _check_named(where: str, settings: Any) -> None:
    if not isinstance(settings, Mapping):
        raise ValueError(f'{where}: {settings!r}, expected settings by name')


def _shown(value: float, unit: str) -> str:
    return f'{value:,.1f} {unit}' if unit.startswith('ms') else f'{value:,.0f} {unit}'
