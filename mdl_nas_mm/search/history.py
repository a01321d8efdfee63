"""The file of all evaluations of a search, which makes the search resumable."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from numbers import Real
from pathlib import Path
from typing import Any

from mdl_nas_mm.elastic.known import family_of
from mdl_nas_mm.spec import Dimensions, SubnetSpec
from mdl_nas_mm.tasks.elastic_parts import joint_dimensions
from mdl_nas_mm.utils.amounts import is_number
from mdl_nas_mm.utils.files import named_failures
from mdl_nas_mm.utils.jsonable import from_json, to_json
from mdl_nas_mm.utils.strict_json import strict_json

from .scored import Pair

# A search of a hundred thousand evaluations has less.
MAX_BYTES = 2**30
MAX_LINE = 2**24


@dataclass(frozen=True)
class Outcome:
    """What came of evaluating one architecture on one task.

    Attributes:
        score: what the search maximises, an error negative; None where the evaluation failed.
        metrics: every single number that the evaluator reported.
        failure: why there is no score.
    """

    score: float | None
    metrics: dict[str, float]
    failure: str | None = None

    @classmethod
    def of(cls, score: float, metrics: Mapping[str, Any]) -> Outcome:
        """The outcome of an evaluator's numbers; one that is not finite is a failure."""
        # float() because evaluators report numpy scalars, which JSON does not know.
        score = float(score)
        numbers = {k: float(v) for k, v in metrics.items() if isinstance(v, Real)}
        if not math.isfinite(score):
            return cls(None, {}, f'its score is {score}')
        return cls(score, numbers)


class History:
    """An append-only file of evaluations, one JSON object a line after a header.

    An evaluation is on disk before ``add`` returns. A last line that was cut short by a kill is
    dropped when the file is opened again.

    Args:
        path: the file; made, with its folder, if it is not there.
        fingerprint: JSON-able; all that a score depends on (checksum of the supernet, evaluation
            data), ``backbone``, its config, among it.
        writes: whether evaluations will be added; else the file is left as it is, since somebody
            may be writing it.

    Attributes:
        evaluations: (task, architecture) -> what came of it, in the order of the file.

    Raises:
        ValueError: the file has another fingerprint (names the first key that differs), is no
            history, or has a damaged line (names it).
    """

    def __init__(self, path: str | os.PathLike, fingerprint: Mapping, writes: bool = True) -> None:
        self.path, self.writes = Path(path), writes
        # Through JSON and back, so that a tuple equals the list that the file holds.
        self.fingerprint = json.loads(json.dumps(fingerprint))
        self._dimensions = _dimensions(self.fingerprint, path)
        self.evaluations: dict[Pair, Outcome] = {}
        self._load()

    @classmethod
    def read(cls, path: str | os.PathLike) -> History:
        """Opens the history of a search that is there, whatever it was of.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no history, or has a damaged line.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f'history {path} is not there')
        _, line = next(_lines(Path(path)), (1, b''))
        return cls(path, _parse_header(line, path), writes=False)

    def __len__(self) -> int:
        return len(self.evaluations)

    def failed(self) -> list[tuple[str, SubnetSpec, str]]:
        """(task, architecture, reason) of the evaluations that failed."""
        return [
            (task, spec, outcome.failure)
            for (task, spec), outcome in self.evaluations.items()
            if outcome.failure is not None
        ]

    def add(self, task: str, spec: SubnetSpec, outcome: Outcome) -> None:
        """Writes an evaluation to disk.

        Raises:
            ValueError: it is there already.
        """
        if (task, spec) in self.evaluations:
            raise ValueError(f'history {self.path}: task {task!r} has a score for {spec} already')
        entry = {'task': task, 'spec': spec.to_dict(), 'score': outcome.score}
        if outcome.failure is None:
            entry['metrics'] = to_json(outcome.metrics)
        else:
            entry['failure'] = outcome.failure
        self._append(entry)
        self.evaluations[task, spec] = outcome

    def _append(self, entry: dict) -> None:
        with named_failures(self.path), self.path.open('a', encoding='utf-8') as file:
            file.write(json.dumps(entry, allow_nan=False) + '\n')
            file.flush()
            os.fsync(file.fileno())

    def _load(self) -> None:
        header = {'fingerprint': self.fingerprint}
        if self.writes and self._is_to_begin(json.dumps(header).encode()):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(b'')
            self._append(header)
            return
        complete = 0
        for number, line in _lines(self.path):
            if number == 1:
                difference = _difference(_parse_header(line, self.path), self.fingerprint)
                if difference:
                    raise ValueError(f'history {self.path} is of another search: {difference}')
            elif line.endswith(b'\n'):
                pair, outcome = self._parse(line, number)
                self.evaluations[pair] = outcome
            complete += len(line) if line.endswith(b'\n') else 0
        if self.writes and complete < self.path.stat().st_size:
            os.truncate(self.path, complete)

    def _is_to_begin(self, header: bytes) -> bool:
        """Whether the file is not there, empty, or what a kill left of its header."""
        if not self.path.exists():
            return True
        with open(self.path, 'rb') as file:
            start = file.read(len(header) + 1)
        return header.startswith(start)

    def _parse(self, line: bytes, number: int) -> tuple[Pair, Outcome]:
        try:
            entry = strict_json(line)
            pair = (entry['task'], self._dimensions.read(entry['spec']))
            if not isinstance(pair[0], str):
                raise ValueError(f'task {pair[0]!r} is no name')
            if 'failure' in entry:
                return pair, Outcome(None, {}, str(entry['failure']))
            metrics = from_json(entry['metrics'])
            for key, value in dict(metrics, score=entry['score']).items():
                if not is_number(value):
                    raise ValueError(f'{key} {value!r} is no number')
            return pair, Outcome(float(entry['score']), metrics)
        except (ValueError, LookupError, TypeError, OverflowError) as error:
            raise ValueError(f'history {self.path}, line {number}: damaged ({error})') from None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The numbered lines of a file, of which no more is in memory than one."""
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f'history {path} has more than {MAX_BYTES:,} bytes')
    with open(path, 'rb') as file:
        for number in count(1):
            line = file.readline(MAX_LINE + 1)
            if len(line) > MAX_LINE:
                raise ValueError(f'history {path}, line {number}: longer than {MAX_LINE:,} bytes')
            if not line:
                return
            yield number, line


def _parse_header(line: bytes, path: str | os.PathLike) -> dict:
    try:
        fingerprint = strict_json(line)['fingerprint']
    except (ValueError, LookupError, TypeError):
        fingerprint = None
    if not isinstance(fingerprint, dict):
        raise ValueError(f'history {path}, line 1: not the header of a history')
    return fingerprint


def _dimensions(fingerprint: Mapping, path: str | os.PathLike) -> Dimensions:
    """Of the architectures in a history."""
    backbone = from_json(fingerprint.get('backbone') or {})
    family_of(backbone, f'history {path}: backbone')
    return joint_dimensions(
        dict(backbone=backbone, tasks=from_json(fingerprint.get('models') or {}))
    )


def _difference(found, expected, key: str = '') -> str | None:
    """Names the first key at which two JSON values differ, or None."""
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        found, expected = dict(enumerate(found)), dict(enumerate(expected))
    if not (isinstance(found, dict) and isinstance(expected, dict)):
        return None if found == expected else f'{key} is {found!r}, expected {expected!r}'
    for name in {**expected, **found}:
        where = f'{key}.{name}' if key else str(name)
        for side, values in (('missing', found), ('unknown', expected)):
            if name not in values:
                return f'{where} is {side}'
        difference = _difference(found[name], expected[name], where)
        if difference:
            return difference
    return None
