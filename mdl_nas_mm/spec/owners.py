"""Whose a weight is, and how the names of state-dict entries say so.

No other file builds or reads such a name. A layer's entries are named::

    weight                   owned by all tasks; the name that the plain layer has
    specific.det.weight      owned by one task
    specific.det+seg.weight  owned by some
    score                    what the mask policy learned, common to all tasks

In a joint model the backbone's entries lie under ``backbone.``, those of a task's neck and head
under ``tasks.<task>.``, those of a part that some tasks share under ``parts.<a+b>.``; of a layer
that these share in part, each has its own channels under the name that a layer of its own would
have. A wrapped copy (EMA) puts ``module.`` before all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

BACKBONE = 'backbone'
TASKS = 'tasks'
PARTS = 'parts'
SPECIFIC = 'specific'
SCORE = 'score'
COPY = 'module.'
_Value = TypeVar('_Value')


@dataclass(frozen=True)
class Owners:
    """The tasks that own a weight.

    Attributes:
        tasks: their names; None for all tasks, however many there are.
    """

    tasks: frozenset[str] | None = None

    @classmethod
    def of(cls, *tasks: str) -> Owners:
        """One task, or some."""
        return cls(frozenset(tasks))

    @classmethod
    def read(cls, label: str) -> Owners:
        """From the form ``a+b``."""
        return cls(frozenset(label.split('+')))

    @property
    def label(self) -> str:
        """The form ``a+b`` of one task or some; nothing for all."""
        return join_names(sorted(self.tasks or ()))

    @property
    def named(self) -> frozenset[str]:
        """The names of tasks that are not all."""
        assert self.tasks is not None
        return self.tasks

    @property
    def are_all(self) -> bool:
        """Whether it is a shared weight."""
        return self.tasks is None

    def __contains__(self, task: str | None) -> bool:
        return self.tasks is None or task in self.tasks

    def __le__(self, other: Owners) -> bool:
        """Whether all owners are among the others."""
        if self.tasks is None or other.tasks is None:
            return other.tasks is None
        return self.tasks <= other.tasks

    @property
    def are_several(self) -> bool:
        """Whether it is a set of some, neither all nor one."""
        return self.tasks is not None and len(self.tasks) > 1

    def among(self, tasks: Iterable[str]) -> tuple[str, ...]:
        """Those of some tasks that are owners, in their order."""
        return tuple(task for task in tasks if task in self)


ALL = Owners()


# State-dict prefix of a layer -> the sets of tasks that own its specific weights together.
OwnerSets = Mapping[str, Sequence[Owners]]


def specific_owners(sets: OwnerSets, layer: str, task: str) -> Owners:
    """Whose the specific weights are that a task uses of a layer; its own where no set has it."""
    return next((each for each in sets.get(layer, ()) if task in each), Owners.of(task))


def join_names(names: Iterable[str]) -> str:
    """The form ``a+b``, in the order of the names."""
    return '+'.join(names)


@dataclass(frozen=True)
class StateEntry:
    """What the name of a state-dict entry says.

    Attributes:
        plain: the name of the shared counterpart of a specific weight; of all else its own.
        owners: whose it is.
    """

    plain: str
    owners: Owners

    @property
    def is_score(self) -> bool:
        """Whether it is no weight, but what the mask policy chooses channels by."""
        return self.plain.rpartition('.')[2] == SCORE

    @property
    def is_shared_weight(self) -> bool:
        """Whether it is a weight of all tasks."""
        return self.owners.are_all and not self.is_score


@lru_cache(2**16)
def read_name(name: str) -> StateEntry:
    """What the name of an entry of a joint model, a backbone or a layer says."""
    if _is_outside_backbone(name):
        return StateEntry(name, Owners.read(bare(name).split('.', 2)[1]))
    layer, is_specific, rest = f'.{name}'.partition(f'.{SPECIFIC}.')
    if not is_specific:
        return StateEntry(name, ALL)
    owners, _, leaf = rest.partition('.')
    return StateEntry(f'{layer}.{leaf}'[1:], Owners.read(owners))


def owners_of(name: str) -> Owners:
    """Whose an entry is."""
    return read_name(name).owners


def specific_name(plain: str, owners: Owners | str) -> str:
    """The name of the counterpart of a shared parameter that one task or some own."""
    layer, _, leaf = f'.{plain}'.rpartition('.')
    label = owners if isinstance(owners, str) else owners.label
    return f'{layer}.{SPECIFIC}.{label}.{leaf}'[1:]


def weight_name(plain: str, owners: Owners) -> str:
    """The name of a weight that all tasks own, or one or some."""
    return plain if owners.are_all else specific_name(plain, owners)


def score_name(layer: str) -> str:
    """The name of a layer's scores."""
    return f'{layer}.{SCORE}'


def bare(name: str) -> str:
    """The name in the joint model itself of an entry of a wrapped copy."""
    return name.removeprefix(COPY)


def in_backbone(name: str) -> bool:
    """Whether an entry of a joint model is the backbone's."""
    return bare(name).startswith(f'{BACKBONE}.')


def is_of_joint_model(name: Any) -> bool:
    """Whether a key is the name of an entry of a joint model."""
    return isinstance(name, str) and (in_backbone(name) or _is_outside_backbone(name))


def _is_outside_backbone(name: str) -> bool:
    return bare(name).startswith((f'{TASKS}.', f'{PARTS}.'))


def backbone_name(name: str) -> str:
    """The name in a joint model of an entry of its backbone; a whole name as it is."""
    return name if _is_outside_backbone(name) else f'{BACKBONE}.{name}'


def task_entry(task: str, name: str) -> str:
    """The name in a joint model of an entry of a task's upstream model."""
    return f'{TASKS}.{task}.{name}'


def name_in_task(name: str) -> str | None:
    """The name in upstream models of an entry of a joint model; None for one of the backbone."""
    return bare(name).split('.', 2)[2] if _is_outside_backbone(name) else None


def scores_in(state: Mapping[str, _Value]) -> dict[str, _Value]:
    """Layer -> its scores, of the entries of a backbone."""
    return {
        name.removesuffix(f'.{SCORE}'): value
        for name, value in state.items()
        if read_name(name).is_score
    }


def backbone_scores(state: Mapping[str, _Value]) -> dict[str, _Value]:
    """Layer of the backbone -> its scores, of the entries of a joint model."""
    names = {name.removeprefix(f'{BACKBONE}.'): name for name in state if in_backbone(name)}
    return scores_in({short: state[name] for short, name in names.items()})


def part_entry(owners: Owners, name: str) -> str:
    """The name in a joint model of what some tasks share of an entry of their upstream models."""
    return f'{PARTS}.{owners.label}.{name}'


def part_scores(state: Mapping[str, _Value]) -> dict[str, _Value]:
    """Layer that tasks share beside the backbone -> its scores, of the entries of a joint model."""
    return scores_in({name: v for name, v in state.items() if name.startswith(f'{PARTS}.')})
