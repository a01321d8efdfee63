"""The dimensions of an architecture, as a family of backbones declares them.

A family has a frozen dataclass for a stage and one for a block, whose fields say what they are::

    @dataclass(frozen=True)
    class BlockSpec:
        hidden: int = size('hidden width', whole=True)
        share_ratio: float = share_ratio('shared')

    @dataclass(frozen=True)
    class StageSpec:
        width: int = size('width', whole=True)
        blocks: tuple[BlockSpec, ...] = blocks_of(BlockSpec)

All that is done with architectures, from sampling to writing them, goes by these declarations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, lru_cache
from numbers import Real
from typing import Any

from mdl_nas_mm.utils.amounts import is_number

from .spec import MAX_BLOCKS, MAX_SIZE, MAX_STAGES, JointSpec, SubnetSpec


@dataclass(frozen=True)
class Dimension:
    """One number of a stage or of a block.

    Attributes:
        name: of the field, and its key in configs and files.
        label: what figures call it.
        whole: whether it is a whole number.
        is_ratio: whether it is a share ratio, in [0, 1]; else it is a size.
        default: the share ratio that it equals where it is not given a value of its own.
    """

    name: str
    label: str
    whole: bool = False
    is_ratio: bool = False
    default: str | None = None

    @property
    def tied_to(self) -> str:
        """The share ratio that a tied one equals."""
        assert self.default is not None
        return self.default


def size(label: str, whole: bool = False) -> Any:
    """Declares a field that is a size, a positive number."""
    return field(metadata=dict(dimension=dict(label=label, whole=whole)))


def share_ratio(label: str, default: str | None = None) -> Any:
    """Declares a field of a block that is the share ratio of some of its layers.

    Args:
        label: its title in figures.
        default: name of the share ratio whose value it has where it is given none of its own; by
            default that is what a config gives as ``share_ratio``, and everything shared without.
    """
    return field(metadata=dict(dimension=dict(label=label, is_ratio=True, default=default)))


def blocks_of(block: type, optional: bool = False) -> Any:
    """Declares the field ``blocks`` of a stage; they are of one class.

    Args:
        block: the class.
        optional: whether architectures may lack a stage, see ``absent_stage``.
    """
    return field(metadata=dict(block=block, optional=optional))


@lru_cache(None)
def declared(kind: type) -> tuple[Dimension, ...]:
    """The dimensions of a class, in their order."""
    found = ((f.name, f.metadata.get('dimension')) for f in fields(kind))
    return tuple(Dimension(name, **given) for name, given in found if given is not None)


@lru_cache(None)
def absent_stage(kind: type) -> Any:
    """What stands for a stage that an architecture does not have: no block, and sizes of 1.

    None for a class whose blocks are not declared ``optional``.
    """
    if not any(f.metadata.get('optional') for f in fields(kind)):
        return None
    return kind(*[1] * len(declared(kind)), ())


@dataclass(frozen=True)
class Dimensions:
    """What a family declares.

    Attributes:
        stage: class of a stage; its sizes, and ``blocks``, declared with ``blocks_of``.
        roles: kinds of layers that a sharing policy can be chosen for.
        parts: those of elastic parts beside the backbone, by name.
    """

    stage: type
    roles: tuple[str, ...] = ()
    parts: tuple[tuple[str, Dimensions], ...] = ()

    @cached_property
    def block(self) -> type:
        """The class of a block."""
        return next(f.metadata['block'] for f in fields(self.stage) if 'block' in f.metadata)

    @cached_property
    def of_stage(self) -> tuple[Dimension, ...]:
        """The sizes of a stage beside its depth."""
        return declared(self.stage)

    @cached_property
    def of_block(self) -> tuple[Dimension, ...]:
        """The sizes and share ratios of a block."""
        return declared(self.block)

    def with_parts(self, parts: Mapping[str, Dimensions]) -> Dimensions:
        """With those of elastic parts beside a backbone."""
        return replace(self, parts=self.parts + tuple(parts.items())) if parts else self

    @property
    def all(self) -> tuple[Dimension, ...]:
        """Those of a stage, then those of a block."""
        return self.of_stage + self.of_block

    @property
    def labels(self) -> dict[str, str]:
        """Name -> what figures call it."""
        return {dimension.name: dimension.label for dimension in self.all}

    def read(self, data: Mapping) -> SubnetSpec:
        """Reads ``SubnetSpec.to_dict``'s form, or a single stage written flat as in a config.

        A stage is ``dict(depth=, ...)`` with the family's dimensions. One of a block may be one
        number for all blocks or a list with one number a block. ``share_ratio`` is meant for all
        share ratios that are not given. ``dict(depth=0)`` is a stage that an architecture does not
        have, where it may lack some. Parts are read where they are known.

        Raises:
            ValueError: a key is missing or unknown, a list is not as long as the stage is deep, a
                number is of a wrong kind, no size, or a share ratio outside [0, 1].
        """
        if not isinstance(data, Mapping):
            raise ValueError(f'architecture: expected a dict, not {type(data).__name__}')
        stages = data['stages'] if 'stages' in data else [data]
        if not isinstance(stages, (list, tuple)) or not 0 < len(stages) <= MAX_STAGES:
            raise ValueError(f"architecture: 'stages' is no list of 1 to {MAX_STAGES} stages")
        spec = SubnetSpec(tuple(self._read_stage(stage, i) for i, stage in enumerate(stages)))
        parts = data.get('parts', {})
        if not isinstance(parts, Mapping):
            raise ValueError(f"architecture: 'parts' is a {type(parts).__name__}, not a dict")
        for name, dimensions in self.parts:
            if name in parts:
                part = dimensions.read(parts[name])
                spec = SubnetSpec(
                    spec.stages + part.stages, (*spec.parts, (name, len(part.stages)))
                )
        if spec.depth > MAX_BLOCKS:
            raise ValueError(f'architecture: {spec.depth} blocks, more than {MAX_BLOCKS}')
        return spec

    def read_joint(self, data: Mapping) -> JointSpec:
        """Reads ``JointSpec.to_dict``'s form: task -> architecture."""
        return JointSpec({task: self.read(spec) for task, spec in data.items()})

    def _read_stage(self, data: Mapping, index: int) -> Any:
        where = f'stage {index} of the architecture'
        if not isinstance(data, Mapping):
            raise ValueError(f'{where}: expected a dict, not {type(data).__name__}')
        known = {'depth', 'share_ratio', *(dimension.name for dimension in self.all)}
        unknown = sorted(map(str, set(data) - known))
        if unknown:
            raise ValueError(f'{where}: unknown key {unknown[0]!r}, expected {sorted(known)}')
        absent = absent_stage(self.stage)
        if absent is not None and data.get('depth') == 0:
            return absent
        for dimension in self.all:
            if not dimension.is_ratio and dimension.name not in data:
                raise ValueError(f'{where}: {dimension.name!r} is missing')
        depth = self._depth(data, where)
        own = [_numbers(data[d.name], 1, d, where)[0] for d in self.of_stage]
        given = with_defaults(data, self.of_block)
        columns = [_numbers(given[d.name], depth, d, where) for d in self.of_block]
        blocks = tuple(self.block(*row) for row in zip(*columns))
        return self.stage(*own, blocks)

    def _depth(self, data: Mapping, where: str) -> int:
        depth = data.get('depth')
        if depth is None:
            lists = [data.get(dimension.name) for dimension in self.of_block]
            lists = [value for value in lists if isinstance(value, (list, tuple))]
            if not lists:
                raise ValueError(f"{where}: 'depth' is missing")
            depth = len(lists[0])
        if not isinstance(depth, int) or isinstance(depth, bool) or not 0 <= depth <= MAX_BLOCKS:
            raise ValueError(
                f'{where}: depth {depth!r} is no number of at most {MAX_BLOCKS} blocks'
            )
        return depth


def with_defaults(given: Mapping, dimensions: tuple[Dimension, ...]) -> dict[str, Any]:
    """What a config gives for each dimension of a block, or means where it does not say it."""
    values: dict[str, Any] = {}
    for dimension in dimensions:
        if dimension.name in given or not dimension.is_ratio:
            values[dimension.name] = given[dimension.name]
        elif dimension.default is not None:
            values[dimension.name] = values[dimension.default]
        else:
            values[dimension.name] = given.get('share_ratio', 1.0)
    return values


def _numbers(value: Any, count: int, dimension: Dimension, where: str) -> list:
    """``count`` numbers of a dimension, from one or from a list."""
    key = dimension.name
    if not isinstance(value, (Real, list, tuple)):
        raise ValueError(f'{where}: {key} is a {type(value).__name__}, not a number or a list')
    values: list[Any] = [value] * count if isinstance(value, Real) else list(value)
    for v in values:
        # What is no share ratio is said by ``check_ratio``.
        if not is_number(v) or not (dimension.is_ratio or 0 < v <= MAX_SIZE):
            raise ValueError(f'{where}: {key} {v!r} is no size')
        if dimension.whole and int(v) != v:
            raise ValueError(f'{where}: {key} {v} is not a whole number')
        if dimension.is_ratio:
            check_ratio(v, f'{where}, {key}')
    if len(values) != count:
        raise ValueError(f'{where}: {key} has {len(values)} values for {count} blocks')
    return [int(v) if dimension.whole else float(v) for v in values]


def check_ratio(ratio: float, where: str) -> None:
    """Raises ValueError unless the share ratio lies in [0, 1]."""
    if not 0 <= ratio <= 1:
        raise ValueError(f'{where}: share ratio {ratio} is outside [0, 1]')
