"""Architectures as frozen values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

# Far beyond any architecture; a number past these is damage or malice.
MAX_STAGES = 16
MAX_BLOCKS = 1000
MAX_SIZE = 2**16


@dataclass(frozen=True)
class SubnetSpec:
    """One architecture: hashable, comparable, JSON-round-tripping; knows nothing of torch.

    Attributes:
        stages: consecutive blocks that have sizes in common (a ViT has one stage, a Swin four);
            of the class that the family declares, see ``Dimensions``. Those of elastic parts
            beside the backbone follow behind.
        parts: the names of these parts, in their order, and of how many stages each is.
    """

    stages: tuple[Any, ...]
    parts: tuple[tuple[str, int], ...] = ()

    @property
    def depth(self) -> int:
        """Blocks over all stages."""
        return sum(len(stage.blocks) for stage in self.stages)

    @property
    def root(self) -> SubnetSpec:
        """That of the backbone, without the parts beside it."""
        return SubnetSpec(split(self.stages, self.parts)[None]) if self.parts else self

    def with_root(self, root: SubnetSpec) -> SubnetSpec:
        """The same parts beside another backbone, which has none."""
        if not self.parts:
            return root
        return SubnetSpec(root.stages + self.stages[len(self.root.stages) :], self.parts)

    def part(self, name: str) -> SubnetSpec:
        """That of a part, or ValueError."""
        stages = split(self.stages, self.parts).get(name)
        if stages is None:
            raise ValueError(f'architecture: it has no part {name!r}, but {list(dict(self.parts))}')
        return SubnetSpec(stages)

    def to_dict(self) -> dict:
        """The canonical JSON-able form, which ``Dimensions.read`` reads."""
        found = {
            name: [_stage_to_dict(stage) for stage in stages]
            for name, stages in split(self.stages, self.parts).items()
        }
        whole: dict[str, Any] = {'stages': found.pop(None)}
        if found:
            whole['parts'] = {name: {'stages': stages} for name, stages in found.items()}
        return whole

    def __str__(self) -> str:
        return json.dumps(self.to_dict())


@dataclass(frozen=True)
class PartSpec(SubnetSpec):
    """That of an elastic part in its place, which a narrow backbone gives less than it can take.

    Attributes:
        inputs: channels in use of each map that the backbone returns.
    """

    inputs: tuple[int, ...] = ()


def united(specs: Iterable[SubnetSpec]) -> SubnetSpec | None:
    """The architecture with every stage that any of some has; None where two have different ones.

    A stage without blocks is one that an architecture does not have.
    """
    first, *others = specs
    stages = list(first.stages)
    for spec in others:
        if len(spec.stages) != len(stages) or spec.parts != first.parts:
            return None
        for i, stage in enumerate(spec.stages):
            if stage.blocks and stages[i].blocks and stage != stages[i]:
                return None
            stages[i] = stage if stage.blocks else stages[i]
    return SubnetSpec(tuple(stages), first.parts)


def split(stages: tuple, parts: tuple[tuple[str, int], ...]) -> dict[str | None, tuple]:
    """Part -> its stages, of those of all parts in a row; None for those of the backbone."""
    start = len(stages) - sum(count for _, count in parts)
    found: dict[str | None, tuple] = {None: stages[:start]}
    for name, count in parts:
        found[name] = stages[start : start + count]
        start += count
    return found


def _stage_to_dict(stage: Any) -> dict:
    """The sizes of a stage, its depth, and for each dimension of a block a list."""
    own: dict[str, Any] = {}
    block: Any = None
    for field in fields(stage):
        block = field.metadata.get('block', block)
        if 'dimension' in field.metadata:
            own[field.name] = getattr(stage, field.name)
    columns = {
        field.name: [getattr(block, field.name) for block in stage.blocks]
        for field in fields(block)
    }
    return {**own, 'depth': len(stage.blocks), **columns}


class JointSpec(Mapping):
    """One architecture a task: an immutable, hashable mapping from task to SubnetSpec."""

    def __init__(self, specs: Mapping[str, SubnetSpec]) -> None:
        self._specs = dict(specs)

    def __getitem__(self, task: str) -> SubnetSpec:
        return self._specs[task]

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def __hash__(self) -> int:
        return hash(frozenset(self._specs.items()))

    def __repr__(self) -> str:
        return f'JointSpec({self._specs!r})'

    def to_dict(self) -> dict:
        """The canonical JSON-able form, which ``Dimensions.read_joint`` reads."""
        return {task: spec.to_dict() for task, spec in self._specs.items()}

    def check_tasks(self, tasks: tuple[str, ...]) -> None:
        """Raises ValueError unless this covers exactly the given tasks."""
        for task in tasks:
            if task not in self._specs:
                raise ValueError(f'joint spec: task {task!r} is missing, it has {sorted(self)}')
        for task in self:
            if task not in tasks:
                raise ValueError(f'joint spec: unknown task {task!r}, expected {sorted(tasks)}')


def shared_count(share_ratio: float, channels: int) -> int:
    """How many of the first ``channels`` are shared at a share ratio (Eq. 4, rounded half up)."""
    return int(share_ratio * channels + 0.5)
