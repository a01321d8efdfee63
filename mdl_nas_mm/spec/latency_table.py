"""The latency of every part of a backbone on one machine, and of architectures as their sum."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mdl_nas_mm.utils.files import write_json
from mdl_nas_mm.utils.strict_json import read_json

from .latency_parts import Part, Timing
from .space import SearchSpace
from .spec import SubnetSpec


@dataclass(frozen=True)
class LatencyTable:
    """Latencies of the parts of one backbone, for one task's input on one machine.

    Attributes:
        timing: what was measured.
        milliseconds: part -> median of its runs, for a whole batch.
        about: where the numbers come from, for people: hardware, versions, runs.
        name: what errors call it.
    """

    timing: Timing
    milliseconds: Mapping[Part, float]
    about: Mapping[str, Any] = field(default_factory=dict)
    name: str = 'latency table'

    def predict(self, spec: SubnetSpec) -> float:
        """Milliseconds of one batch through the backbone: the sum of its parts.

        Raises:
            ValueError: the table misses a part; names it.
        """
        return sum(self._of(part) for part in self.timing.parts(spec))

    def check(self, timing: Timing, space: SearchSpace) -> None:
        """Raises ValueError, naming the first difference, unless this is a table of ``timing``
        that has every choice of ``space``."""
        ours, theirs = asdict(self.timing), asdict(timing)
        # Positions are interpolated, so that for which size they are stored does not matter.
        shapes = [
            {k: v for k, v in t.pop('shape').items() if k != 'img_size'} for t in (ours, theirs)
        ]
        for found, expected in ((ours, theirs), shapes):
            for key in expected:
                if found.get(key) != expected[key]:
                    raise ValueError(
                        f'{self.name}: measured with {key} {found.get(key)}, not {expected[key]}; '
                        'measure it again with tools/latency.py'
                    )
        for part in timing.all_parts(space):
            self._of(part)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the table as JSON."""
        parts = [
            {k: v for k, v in asdict(part).items() if v is not None} | {'milliseconds': value}
            for part, value in self.milliseconds.items()
        ]
        content = dict(timing=asdict(self.timing), about=self.about, parts=parts)
        write_json(path, content)

    @classmethod
    def load(cls, path: str | os.PathLike) -> LatencyTable:
        """Reads what ``save`` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no latency table.
        """
        name = f'latency table {os.fspath(path)}'
        if not Path(path).is_file():
            raise FileNotFoundError(f'{name} is not there; tools/latency.py measures one')
        try:
            content = read_json(path, name)
            timing = dict(content['timing'], input_size=tuple(content['timing']['input_size']))
            values = {}
            for i, entry in enumerate(content['parts']):
                value = entry.pop('milliseconds')
                if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
                    raise ValueError(f'part {i}: {value!r} are no milliseconds')
                values[Part(**entry)] = float(value)
            return cls(Timing(**timing), values, content['about'], name)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f'{name}: not a latency table ({error!r})') from None

    def _of(self, part: Part) -> float:
        if part not in self.milliseconds:
            raise ValueError(f'{self.name} misses {part}; measure it again with tools/latency.py')
        return self.milliseconds[part]
