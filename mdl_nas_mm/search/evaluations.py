"""The scores of a supernet, found on all processes and kept in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch.distributed as dist

from mdl_nas_mm.engine.groups import TaskGroups
from mdl_nas_mm.spec import JointSpec, SubnetSpec
from mdl_nas_mm.tasks.pass_groups import PassGroup

from .history import History, Outcome
from .progress import SearchProgress
from .scored import Pair


class Evaluations:
    """Scores pairs, each once and on disk before it is used; a search's score.

    The first rank calls it, the others ``serve`` until it says ``finish``. They split the pairs of
    a task over its ranks, so that all tasks are scored at the same time. Tasks that share a pass
    are scored together.

    Args:
        evaluate: scores architectures on this process, of one task or of tasks that share a pass.
        history: the file of all evaluations; None on other ranks than the first.
        parts: files of what single ranks have evaluated, so that no evaluation is lost with a
            rank; the last one is this rank's own, where there are several.
        ranks: None for a single process.
        progress: where it is to be shown.
        pass_groups: the tasks that share a pass.

    Attributes:
        used: what this search has asked for, in its order.
    """

    def __init__(
        self,
        evaluate: Callable[[JointSpec], Mapping[str, Outcome]],
        history: History | None,
        parts: Sequence[History] = (),
        ranks: TaskGroups | None = None,
        progress: SearchProgress | None = None,
        pass_groups: Sequence[PassGroup] = (),
    ) -> None:
        self.pass_group_of = {task: group for group in pass_groups for task in group}
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
        new = [
            joint for joint in self._joined_pairs(pairs) if not known.keys() >= set(joint.items())
        ]
        outcomes = self._split(new) if self.ranks else map(self._one, new)
        assert outcomes is not None
        for found in outcomes:
            for pair, outcome in found.items():
                if pair not in known:
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

    def _joined_pairs(self, pairs: Sequence[Pair]) -> list[JointSpec]:
        """The pairs as what is scored at once: those of a pass group with one backbone, one a task.

        What was scored before is among them: a batch of all tasks may differ in its rounding from
        that of one, and a search that goes on has to end in the same.
        """
        found: list[dict[str, SubnetSpec]] = []
        of_pass: dict[tuple, list[dict[str, SubnetSpec]]] = {}
        for task, spec in pairs:
            group = self.pass_group_of.get(task)
            alike = of_pass.setdefault((group, spec.root), []) if group else []
            joint = next((joint for joint in alike if task not in joint), None)
            if joint is None:
                joint = {}
                alike.append(joint)
                found.append(joint)
            joint[task] = spec
        return [JointSpec(joint) for joint in found]

    def _one(self, joint: JointSpec) -> dict[Pair, Outcome]:
        """What came of the pairs of one joint spec."""
        if self.earlier.keys() >= set(joint.items()):
            return {pair: self.earlier[pair] for pair in joint.items()}
        outcomes = self.evaluate(joint)
        if self.progress:
            self.progress.evaluated(len(joint))
        return {(task, spec): outcomes[task] for task, spec in joint.items()}

    def _split(self, joints: Sequence[JointSpec] | None) -> list[dict[Pair, Outcome]] | None:
        """On every rank: what came of the first rank's joint specs, None where it has none."""
        ranks = self.ranks
        assert ranks is not None
        joints = ranks.all_gather(joints)[0]
        if joints is None:
            return None
        found = dict(self.earlier)
        new = [joint for joint in joints if not found.keys() >= set(joint.items())]
        for outcomes in ranks.all_gather(self._own(new, ranks)):
            found.update(outcomes)
        return [{pair: found[pair] for pair in joint.items()} for joint in joints]

    def _own(self, joints: Sequence[JointSpec], ranks: TaskGroups) -> dict[Pair, Outcome]:
        """Evaluates this rank's part of the joint specs."""
        own, part = {}, self.parts[-1]
        groups = dict.fromkeys(self.pass_group_of.get(task, (task,)) for task in ranks.tasks)
        for number, group in enumerate(groups):
            # Tasks of a pass group have the same ranks.
            sharers = ranks.assignment.ranks[group[0]]
            of_group = [joint for joint in joints if not set(group).isdisjoint(joint)]
            # What is left over goes to another rank for each group.
            first = (sharers.index(ranks.rank) + number) % len(sharers)
            for joint in of_group[first :: len(sharers)]:
                outcomes = self._one(joint)
                for pair, outcome in outcomes.items():
                    if pair not in part.evaluations:
                        part.add(*pair, outcome)
                own.update(outcomes)
        return own


def open_history(folder: Path, header: Mapping, ranks: TaskGroups) -> History | None:
    """The history of a search, on the first rank.

    Where that refuses the file, no other rank leaves one behind.
    """
    history = None if ranks.rank else History(folder / 'history.jsonl', header)
    ranks.wait()
    return history


def open_parts(folder: Path, header: Mapping, ranks: TaskGroups) -> list[History]:
    """This rank's file; before it, on the first, those of ranks that only an earlier run had."""
    present = 0 if ranks.alone else dist.get_world_size()
    numbers = [path.stem.removeprefix('history.rank') for path in folder.glob('history.rank*')]
    gone = sorted(int(n) for n in numbers if n.isdigit() and int(n) >= present)
    wanted = ([] if ranks.rank else gone) + ([] if ranks.alone else [ranks.rank])
    return [History(folder / f'history.rank{n}.jsonl', header) for n in wanted]
