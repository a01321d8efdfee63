"""Parts of architectures that several tasks have in common.

A place is where an architecture has stages: the backbone of a task, which goes by the name of the
task, or an elastic part beside it, by the part's (``seg.decode_head``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from mdl_nas_mm.spec import JointSpec, SearchSpace, SubnetSpec
from mdl_nas_mm.spec.spec import split


@dataclass(frozen=True)
class Ties:
    """Which places have the same stages in every joint spec.

    One architecture for all tasks is a single set of all of them; without sets each task has its
    own.

    Attributes:
        tasks: all tasks, in their order.
        sets: places that are tied; none is in two of them.
    """

    tasks: tuple[str, ...]
    sets: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, tasks: Iterable[str], given: Iterable[Sequence[str]]) -> Ties:
        """From sets that may have places in common, and then are one."""
        tasks = tuple(tasks)
        sets: list[list[str]] = []
        for new in given:
            common = [known for known in sets if not set(known).isdisjoint(new)]
            places = dict.fromkeys((*(place for known in common for place in known), *new))
            merged = [place for place in dict.fromkeys((*tasks, *places)) if place in places]
            sets = [known for known in sets if known not in common] + [merged]
        return cls(tasks, tuple(map(tuple, sets)))

    def leader(self, place: str) -> str:
        """The place that stands for all that it is tied to."""
        return self._leaders.get(place, place)

    @cached_property
    def _leaders(self) -> dict[str, str]:
        return {place: places[0] for places in self.sets for place in places}

    @cached_property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The tasks by who has anything in common, in the order of their first ones."""
        tied = Ties.of(self.tasks, [[place.split('.')[0] for place in s] for s in self.sets])
        found = {tied.leader(task): [] for task in self.tasks}
        for task in self.tasks:
            found[tied.leader(task)].append(task)
        return tuple(map(tuple, found.values()))

    def check(self, spaces: Mapping[str, SearchSpace]) -> None:
        """Raises ValueError for places that there are not, or that have different choices.

        Parts may be tied where the backbones are: else there would be too many combinations.
        """
        choices = {}
        for task, space in spaces.items():
            choices.update(_places(task, space))
        for places in self.sets:
            for place in places:
                if place not in choices:
                    raise ValueError(
                        f'search_cfg.tied: {place!r} is neither a task nor an elastic part of one, '
                        f'expected of {sorted(choices)}'
                    )
                if choices[place] != choices[places[0]]:
                    raise ValueError(
                        f'search_cfg.tied: {places[0]!r} and {place!r} have different choices'
                    )
                if self._task(place) != self._task(places[0]):
                    raise ValueError(
                        f'search_cfg.tied: {places[0]!r} and {place!r} are of tasks whose '
                        'backbones are not tied; tie these too'
                    )

    def _task(self, place: str) -> str:
        """The first of the tasks that have the backbone of a place's task."""
        return self.leader(place.split('.')[0])

    def leading(self, spaces: Mapping[str, SearchSpace]) -> tuple[str, ...]:
        """The tasks that architectures are made for; the others follow from theirs."""
        return tuple(t for t in self.tasks if self.leader(t) == t or spaces[t].parts)

    def leads(self, task: str, space: SearchSpace, stage: int) -> bool:
        """Whether a stage of what is made for a task, by its number, is in a leading place."""
        for place, stages in _places(task, space).items():
            if stage < len(stages):
                return self.leader(place) == place
            stage -= len(stages)
        raise IndexError(stage)

    def joint(self, made: Mapping[str, SubnetSpec]) -> JointSpec:
        """The joint spec in which what is tied is that of the leading places.

        Args:
            made: task -> architecture, of the leading tasks.
        """
        stages: dict[str, tuple] = {}
        for task, spec in made.items():
            stages.update(_places(task, spec))

        def tied(task: str) -> SubnetSpec:
            own = made.get(task)
            if own is None or not own.parts:
                return made[self.leader(task)].root
            places = (task, *dict(own.parts))
            found = (stage for place in places for stage in stages[self.leader(place)])
            return SubnetSpec(tuple(found), own.parts)

        return JointSpec({task: tied(task) for task in self.tasks} if self.sets else made)

    def tied_stages(self, task: str, spec: SubnetSpec) -> dict[str, tuple]:
        """Leading place -> stages, of an architecture's places that are tied to any."""
        found = _places(task, spec).items()
        return {self.leader(p): stages for p, stages in found if p in self._leaders}


def _places(task: str, of: SubnetSpec | SearchSpace) -> dict[str, tuple]:
    """Place -> its stages, or the choices for them, in their order."""
    found = split(of.stages, of.parts).items()
    return {task if part is None else part: stages for part, stages in found}
