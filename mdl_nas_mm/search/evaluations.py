"""The scores of a supernet, found on all processes and kept in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch.distributed as dist

from mdl_nas_mm.engine.groups import TaskGroups
from mdl_nas_mm.spec import SubnetSpec

from .history import History, Outcome
from .progress import Progress
from .scored import Pair


class Evaluations:
    """Scores pairs, each once and on disk before it is used; a search's score.

    The first rank calls it, the others ``serve`` until it says ``finish``. They split the pairs of
    a task over its ranks, so that all tasks are scored at the same time.

    Args:
        evaluate: scores one pair on this process.
        history: the file of all evaluations; None on other ranks than the first.
        parts: files of what single ranks have evaluated, so that no evaluation is lost with a
            rank; the last one is this rank's own, where there are several.
        ranks: None for a single process.
        progress: where it is to be shown.

    Attributes:
        used: what this search has asked for, in its order.
    """

    def __init__(
        self,
        evaluate: Callable[[str, SubnetSpec], Outcome],
        history: History | None,
        parts: Sequence[History] = (),
        ranks: TaskGroups | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.evaluate, self._history, self.parts = evaluate, history, parts
        self.ranks = None if ranks is None or ranks.alone else ranks
        self.progress = progress
        self.used: dict[Pair, None] = {}
        self.earlier: dict[Pair, Outcome] = {}
        for part in parts:
            self.earlier.update(part.evaluations)
        if self.ranks:
            for evaluations in self.ranks.all_gather(self.earlier):
                self.earlier.update(evaluations)

    @property
    def history(self) -> History:
        """The file of all evaluations, of the first rank."""
        assert self._history is not None
        return self._history

    def __call__(self, pairs: Sequence[Pair]) -> list[float | None]:
        """The scores of pairs, None for one that failed."""
        if self.progress:
            self.progress.asked(len(pairs))
        known = self.history.evaluations
        new = [pair for pair in pairs if pair not in known]
        outcomes = self._split(new) if self.ranks else map(self._one, new)
        assert outcomes is not None
        for pair, outcome in zip(new, outcomes):
            self.history.add(*pair, outcome)
        self.used.update(dict.fromkeys(pairs))
        return [known[pair].score for pair in pairs]

    def scored(self, tasks: Sequence[str]) -> dict[str, dict[SubnetSpec, float]]:
        """Task -> architecture -> score, of what this search has used and did not fail."""
        found: dict[str, dict[SubnetSpec, float]] = {task: {} for task in tasks}
        for task, spec in self.used:
            score = self.history.evaluations[task, spec].score
            if score is not None:
                found[task][spec] = score
        return found

    def serve(self) -> None:
        """Evaluates what the first rank asks for."""
        while self._split(None) is not None:
            pass
        self.parts[-1].path.unlink()

    def finish(self) -> None:
        """Lets the other ranks return from ``serve``; all evaluations are in the history."""
        if self.ranks:
            self._split(None)
        for part in self.parts:
            part.path.unlink()

    def _one(self, pair: Pair) -> Outcome:
        if pair in self.earlier:
            return self.earlier[pair]
        outcome = self.evaluate(*pair)
        if self.progress:
            self.progress.evaluated()
        return outcome

    def _split(self, pairs: Sequence[Pair] | None) -> list[Outcome] | None:
        """On every rank: what came of the first rank's pairs, None where it has none."""
        ranks = self.ranks
        assert ranks is not None
        pairs = ranks.all_gather(pairs)[0]
        if pairs is None:
            return None
        found, new = dict(self.earlier), [pair for pair in pairs if pair not in self.earlier]
        for outcomes in ranks.all_gather(self._own(new, ranks)):
            found.update(outcomes)
        return [found[pair] for pair in pairs]

    def _own(self, pairs: Sequence[Pair], ranks: TaskGroups) -> dict[Pair, Outcome]:
        """Evaluates this rank's part of the pairs."""
        own = {}
        for task in ranks.tasks:
            sharers = ranks.assignment.ranks[task]
            of_task = [pair for pair in pairs if pair[0] == task]
            for pair in of_task[sharers.index(ranks.rank) :: len(sharers)]:
                own[pair] = self._one(pair)
                self.parts[-1].add(*pair, own[pair])
        return own


def open_history(folder: Path, header: Mapping, ranks: TaskGroups) -> History | None:
    """The history of a search, on the first rank.

    Where that refuses the file, no other rank leaves one behind.
    """
    history = None if ranks.rank else History(folder / 'history.jsonl', header)
    ranks.all_gather(None)
    return history


def open_parts(folder: Path, header: Mapping, ranks: TaskGroups) -> list[History]:
    """This rank's file; before it, on the first, those of ranks that only an earlier run had."""
    present = 0 if ranks.alone else dist.get_world_size()
    numbers = [path.stem.removeprefix('history.rank') for path in folder.glob('history.rank*')]
    gone = sorted(int(n) for n in numbers if n.isdigit() and int(n) >= present)
    wanted = ([] if ranks.rank else gone) + ([] if ranks.alone else [ranks.rank])
    return [History(folder / f'history.rank{n}.jsonl', header) for n in wanted]
