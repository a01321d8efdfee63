"""What an architecture of one task may cost at most, beside the budget of all tasks."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from mmengine.config import Config

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.backbone import of_task
from mdl_nas_mm.spec import JointSpec, SearchSpace, SubnetSpec
from mdl_nas_mm.spec.latency_parts import Timing
from mdl_nas_mm.spec.latency_table import LatencyTable
from mdl_nas_mm.tasks import drawn_spaces, validation_size

_UNITS = {'': 1, 'K': 10**3, 'M': 10**6, 'G': 10**9, 'T': 10**12}
_KEYS = ('flops', 'input_size', 'latency', 'table')


def parse_count(text: int | float | str, what: str, example: str) -> int:
    """A count from ``235_000_000``, ``'235M'`` or ``'1.5G'``.

    Raises:
        ValueError: it is not a positive number with such a unit.
    """
    match = re.fullmatch(r'([0-9.]+(?:e[0-9]+)?)([KMGT]?)', str(text).strip().replace('_', ''))
    try:
        value = float(match[1]) * _UNITS[match[2]]
    except (TypeError, ValueError):
        value = 0
    if not 1 <= value < math.inf:
        raise ValueError(f'{what} {text!r}: expected {example}')
    return int(value)


def parse_milliseconds(text: str, what: str) -> float:
    """Milliseconds from ``'40ms'`` or ``'0.04s'``, or ValueError."""
    match = re.fullmatch(r'([0-9.]+)(ms|s)', str(text).strip())
    try:
        value = float(match[1]) * (1 if match[2] == 'ms' else 1000)
    except (TypeError, ValueError):
        value = 0
    if value <= 0:
        raise ValueError(f"{what} {text!r}: expected a time such as '40ms' or '0.04s'")
    return value


@dataclass(frozen=True)
class Constraint:
    """A limit on the backbone of one task.

    Attributes:
        measure: what an architecture costs.
        limit: what it may cost.
        unit: of both, to show them.
    """

    task: str
    measure: Callable[[SubnetSpec], float]
    limit: float
    unit: str

    def __str__(self) -> str:
        return f'{self.task}: at most {_shown(self.limit, self.unit)}'


class Constraints:
    """All limits on single tasks.

    Args:
        limits: any number of them, several of a task as well.
    """

    def __init__(self, limits: tuple[Constraint, ...] = ()) -> None:
        self.limits = limits

    @classmethod
    def from_config(cls, cfg: Config, backbone: ElasticBackbone) -> Constraints:
        """Reads ``search_cfg.constraints`` of a resolved joint config.

        It is task -> ``dict(flops='5G', input_size=(height, width))``, multiply-adds of the
        backbone on one image, by default of the size that candidates are scored on; or
        ``dict(latency='40ms', table='latency.json')``, with a table that ``tools/latency.py``
        wrote; or both.

        Raises:
            ValueError: an unknown task, key or unit, or a table that does not fit.
            FileNotFoundError: there is no such table.
        """
        limits, given = [], (cfg.get('search_cfg') or {}).get('constraints') or {}
        for task, settings in given.items():
            where = f'search_cfg.constraints.{task}'
            if task not in cfg.tasks:
                raise ValueError(f'{where}: no such task, expected {sorted(cfg.tasks)}')
            for key in settings:
                if key not in _KEYS:
                    raise ValueError(f'{where}: unknown key {key!r}, expected {_KEYS}')
            if ('latency' in settings) != ('table' in settings):
                raise ValueError(f'{where}: latency and its table belong together')
            if 'flops' in settings:
                size = settings.get('input_size')
                size = tuple(size or validation_size(cfg.search_dataloader[task], task))
                limits.append(_flops(where, task, settings['flops'], backbone, size))
            if 'latency' in settings:
                space = drawn_spaces(cfg, backbone.space)[task]
                limits.append(_latency(where, task, settings, backbone, space))
        return cls(tuple(limits))

    def allow(self, task: str, spec: SubnetSpec) -> bool:
        """Whether a task may have an architecture."""
        return all(c.measure(spec) <= c.limit for c in self.limits if c.task == task)

    def check(self, smallest: JointSpec) -> None:
        """Raises ValueError for a limit that not even the smallest architectures keep."""
        for constraint in self.limits:
            least = constraint.measure(smallest[constraint.task])
            if least > constraint.limit:
                raise ValueError(
                    f'search: the limit {constraint} is below what the smallest architecture '
                    f'takes, {_shown(least, constraint.unit)}'
                )


def _flops(
    where: str, task: str, limit: str, backbone: ElasticBackbone, size: tuple[int, int]
) -> Constraint:
    measure = lru_cache(None)(lambda spec: backbone.flops(task, spec, size))
    parsed = parse_count(limit, f'{where}.flops', 'multiply-adds, such as 5G')
    return Constraint(task, measure, parsed, f'multiply-adds at {size[0]} x {size[1]}')


def _latency(
    where: str, task: str, settings: Mapping, backbone: ElasticBackbone, space: SearchSpace
) -> Constraint:
    table = LatencyTable.load(settings['table'])
    measured = table.timing
    size = tuple(settings.get('input_size') or measured.input_size)
    window = of_task(getattr(backbone, 'window_size', 0), task, 'window_size')
    timing = Timing.of(
        backbone.layout, size, window, measured.batch_size, measured.device, measured.threads
    )
    table.check(timing, space)
    limit = parse_milliseconds(settings['latency'], f'{where}.latency')
    unit = f'ms for {measured.batch_size} images on {measured.device}'
    return Constraint(task, lru_cache(None)(table.predict), limit, unit)


def _shown(value: float, unit: str) -> str:
    return f'{value:,.1f} {unit}' if unit.startswith('ms') else f'{value:,.0f} {unit}'
