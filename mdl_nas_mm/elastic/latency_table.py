"""The latency of every part of a backbone on one machine, and of architectures as their sum."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from mdl_nas_mm.spec import SearchSpace, SubnetSpec
from mdl_nas_mm.utils.amounts import is_number
from mdl_nas_mm.utils.files import write_json
from mdl_nas_mm.utils.strict_json import read_json

from .backbone import ElasticBackbone, of_task
from .family import Family, known_families
from .head_times import HeadTimes
from .timed_parts import LatencyPart, TimedParts

# Rank correlations of predicted and measured latencies below this say that a table is of no use.
USEFUL_CORRELATION = 0.5


@dataclass(frozen=True)
class Timing:
    """What a backbone's parts are made of and where they run; all that a latency depends on.

    Attributes:
        shape: the layout's shape, as JSON has it.
        settings: the task's settings that latency depends on, by their names in tables.
        input_size: (height, width) in pixels.
        device: such as ``cpu`` or ``cuda``.
        threads: of the CPU.
    """

    family: Family
    shape: Mapping[str, Any]
    settings: Mapping[str, Any]
    input_size: tuple[int, int]
    batch_size: int = 1
    device: str = 'cpu'
    threads: int = 1

    @classmethod
    def of(
        cls, backbone: ElasticBackbone, task: str | None, input_size: tuple[int, int], **where: Any
    ) -> Timing:
        """The timing of a task's backbone; ``where`` are the remaining attributes."""
        shape = json.loads(json.dumps(asdict(backbone.layout.shape)))
        settings = {
            setting.timed: of_task(getattr(backbone, key), task, key)
            for key, setting in backbone.family.task_settings.items()
            if setting.timed is not None
        }
        return cls(backbone.family, shape, settings, tuple(input_size), **where)

    @cached_property
    def timed(self) -> TimedParts:
        """What architectures are made of."""
        return self.family.timed_parts(self.settings, self.shape)

    def to_dict(self) -> dict[str, Any]:
        """The JSON-able form."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values.update(family=self.family.name, **values.pop('settings'))
        return values

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Timing:
        """Reads ``to_dict``'s form, or ValueError for an unknown family."""
        families, own = known_families(), dict(data)
        name = own.pop('family')
        if name not in families:
            raise ValueError(f'family {name!r} is not one of {sorted(families)}')
        names = {f.name for f in fields(cls)}
        settings = {key: own.pop(key) for key in set(own) - names}
        own['input_size'] = tuple(own['input_size'])
        return cls(families[name], settings=settings, **own)


@dataclass(frozen=True)
class LatencyTable:
    """Latencies of the parts of one backbone, for one task's input on one machine.

    Attributes:
        timing: what was measured.
        milliseconds: part -> median of its runs, for a whole batch.
        about: where the numbers come from, for people: hardware, versions, runs; and how well they
            predict, ``comparison``, where that was tried.
        heads: task -> what it takes behind the backbone, of those that were measured.
        name: what errors call it.
    """

    timing: Timing
    milliseconds: Mapping[LatencyPart, float]
    about: Mapping[str, Any] = field(default_factory=dict)
    heads: Mapping[str, HeadTimes] = field(default_factory=dict)
    name: str = 'latency table'

    def predict(self, spec: SubnetSpec) -> float:
        """Milliseconds of one batch through the backbone: the sum of its parts.

        Raises:
            ValueError: the table misses a part; names it.
        """
        return sum(self._of(part) for part in self.timing.timed.parts(spec))

    @property
    def correlation(self) -> float | None:
        """Spearman's, of predicted and measured latencies of random architectures, where known."""
        comparison = self.about.get('comparison')
        value = comparison.get('spearman') if isinstance(comparison, Mapping) else None
        return float(value) if isinstance(value, (int, float)) else None

    def check_useful(self) -> None:
        """Raises ValueError for a table whose predictions do not follow what was measured."""
        if self.correlation is not None and self.correlation < USEFUL_CORRELATION:
            raise ValueError(
                f'{self.name}: what it predicts does not follow what was measured, their rank '
                f'correlation is {self.correlation:.2f}; measure it again with mdl-nas latency, '
                'with more --runs, while nothing else runs'
            )

    def check(self, timing: Timing, space: SearchSpace) -> None:
        """Raises ValueError, naming the first difference, unless this is a table of ``timing``
        that has every choice of ``space``."""
        settings = timing.family.task_settings.values()
        # What a table says nothing of is as it is by default.
        usual = {s.timed: s.default for s in settings if s.timed is not None}
        found, wanted = usual | self.timing.to_dict(), timing.to_dict()
        shape = {k: v for k, v in wanted.pop('shape').items() if k not in timing.family.untimed}
        for theirs, ours in ((found, wanted), (found['shape'], shape)):
            for key in ours:
                if theirs.get(key) != ours[key]:
                    raise ValueError(
                        f'{self.name}: measured with {key} {theirs.get(key)}, not {ours[key]}; '
                        'measure it again with mdl-nas latency'
                    )
        for part in timing.timed.all_parts(space):
            self._of(part)

    def to_dict(self) -> dict[str, Any]:
        """The JSON-able form."""
        parts = [
            {k: v for k, v in asdict(part).items() if v is not None} | {'milliseconds': value}
            for part, value in self.milliseconds.items()
        ]
        heads = {task: asdict(times) for task, times in self.heads.items()}
        return dict(timing=self.timing.to_dict(), about=self.about, parts=parts, heads=heads)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the table as JSON."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike) -> LatencyTable:
        """Reads what ``save`` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no latency table.
        """
        name = f'latency table {os.fspath(path)}'
        if not Path(path).is_file():
            raise FileNotFoundError(f'{name} is not there; mdl-nas latency measures one')
        try:
            content = read_json(path, name)
        except ValueError as error:
            raise ValueError(f'{name}: not a latency table ({error!r})') from None
        return cls.from_dict(content, name)

    @classmethod
    def from_dict(cls, content: Any, name: str) -> LatencyTable:
        """Reads ``to_dict``'s form.

        Args:
            content: that form.
            name: what errors call it.

        Raises:
            ValueError: it is no latency table.
        """
        try:
            timing, values = Timing.from_dict(content['timing']), {}
            kind = timing.timed.kind
            for i, entry in enumerate(content['parts']):
                own = dict(entry)
                value = own.pop('milliseconds')
                if not is_number(value) or value < 0:
                    raise ValueError(f'part {i}: {value!r} are no milliseconds')
                values[kind(**own)] = float(value)
            heads = {t: HeadTimes.from_dict(own) for t, own in content.get('heads', {}).items()}
            return cls(timing, values, content['about'], heads, name)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f'{name}: not a latency table ({error!r})') from None

    def _of(self, part: LatencyPart) -> float:
        if part not in self.milliseconds:
            raise ValueError(f'{self.name} misses {part}; measure it again with mdl-nas latency')
        return self.milliseconds[part]
