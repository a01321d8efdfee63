"""The file of all evaluations of a search, which makes the search resumable."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

from mdl_nas_mm.spec import SubnetSpec


@dataclass(frozen=True)
class HistoryEntry:
    """What one architecture scored on one task.

    Attributes:
        score: what the search maximises, in percent.
        metrics: every single number that the evaluator reported.
    """

    task: str
    spec: SubnetSpec
    score: float
    metrics: dict[str, float]


class History:
    """An append-only file of evaluations, one JSON object a line after a header.

    An evaluation is on disk before ``add`` returns. A last line that was cut short by a kill is
    dropped when the file is opened again.

    Args:
        path: the file; made, with its folder, if it is not there.
        fingerprint: JSON-able; all that a score depends on (search space, sharing, checksum of
            the supernet, evaluation data).

    Attributes:
        evaluations: (task, architecture) -> evaluation, in the order of the file.
        hits: how many evaluations ``get`` has spared.

    Raises:
        ValueError: the file has another fingerprint (names the first key that differs), is no
            history, or has a damaged line (names it).
    """

    def __init__(self, path: str | os.PathLike, fingerprint: Mapping) -> None:
        self.path = Path(path)
        # Through JSON and back, so that a tuple equals the list that the file holds.
        self.fingerprint = json.loads(json.dumps(fingerprint))
        self.evaluations: dict[tuple[str, SubnetSpec], HistoryEntry] = {}
        self.hits = 0
        self._load()

    def __len__(self) -> int:
        return len(self.evaluations)

    def get(self, task: str, spec: SubnetSpec) -> HistoryEntry | None:
        """The evaluation of an architecture on a task, or None."""
        evaluation = self.evaluations.get((task, spec))
        self.hits += evaluation is not None
        return evaluation

    def add(
        self, task: str, spec: SubnetSpec, score: float, metrics: Mapping[str, float] | None = None
    ) -> HistoryEntry:
        """Writes an evaluation to disk.

        Raises:
            ValueError: it is there already, or the score is not finite.
        """
        if (task, spec) in self.evaluations:
            raise ValueError(f'history {self.path}: task {task!r} has a score for {spec} already')
        # float() because evaluators report numpy scalars, which JSON does not know.
        score = float(score)
        numbers = {k: float(v) for k, v in (metrics or {}).items() if isinstance(v, Real)}
        if not math.isfinite(score):
            raise ValueError(f'history {self.path}: task {task!r} has score {score} for {spec}')
        self._append({'task': task, 'spec': spec.to_dict(), 'score': score, 'metrics': numbers})
        evaluation = HistoryEntry(task, spec, score, numbers)
        self.evaluations[task, spec] = evaluation
        return evaluation

    def cached(
        self, evaluate: Callable[[str, SubnetSpec], tuple[float, Mapping[str, float]]]
    ) -> Callable[[str, SubnetSpec], float]:
        """Makes (task, architecture) -> (score, metrics) the remembering scorer of a search."""

        def score(task: str, spec: SubnetSpec) -> float:
            evaluation = self.get(task, spec)
            return (evaluation or self.add(task, spec, *evaluate(task, spec))).score

        return score

    def _append(self, entry: dict) -> None:
        with self.path.open('a', encoding='utf-8') as file:
            file.write(json.dumps(entry) + '\n')
            file.flush()
            os.fsync(file.fileno())

    def _load(self) -> None:
        header = {'fingerprint': self.fingerprint}
        data = self.path.read_bytes() if self.path.exists() else b''
        *lines, rest = data.split(b'\n')
        if not lines and json.dumps(header).encode().startswith(rest):
            # Not there, empty, or killed within the header.
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(b'')
            self._append(header)
            return
        self._check_header((lines or [rest])[0])
        for number, line in enumerate(lines[1:], 2):
            evaluation = self._parse(line, number)
            self.evaluations[evaluation.task, evaluation.spec] = evaluation
        if rest:
            os.truncate(self.path, len(data) - len(rest))

    def _check_header(self, line: bytes) -> None:
        try:
            fingerprint = json.loads(line)['fingerprint']
        except (ValueError, KeyError, TypeError):
            raise ValueError(f'history {self.path}, line 1: not the header of a history') from None
        difference = _difference(fingerprint, self.fingerprint)
        if difference:
            raise ValueError(f'history {self.path} is of another search: {difference}')

    def _parse(self, line: bytes, number: int) -> HistoryEntry:
        try:
            entry = json.loads(line)
            spec = SubnetSpec.from_dict(entry['spec'])
            return HistoryEntry(entry['task'], spec, float(entry['score']), entry['metrics'])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f'history {self.path}, line {number}: damaged ({error})') from None


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
