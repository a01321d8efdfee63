"""What a family of backbones tells the rest of the package about itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from torch import Tensor

from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import Dimensions, SearchSpace, SubnetSpec

from .fitting import fit_weight
from .importance import Reordering
from .key_styles import KeyStyle
from .timed_parts import TimedParts

REQUIRED = object()


class NoStockClassError(ValueError):
    """Says the first thing that no stock class can do."""


@dataclass(frozen=True)
class TaskSetting:
    """An argument of a backbone that each task may have its own value of.

    Attributes:
        default: what a task has that says nothing, where the backbone has no value for all.
            Without one, each task has to say it, or none.
        is_output: whether it says what the backbone returns; a new task then has what the task
            has that it starts from.
        owns: whether a task that has another value than the default has weights of its own by it,
            so that it shares no pass; the name ``own`` is the role of these.
        selects: whether it only chooses among features, so that tasks that differ in it can
            share a pass; the backbone then has ``forward_shared``.
        of_largest: where what ``settings_of`` says means an architecture's own parts, what says
            the same of the largest: (value, architecture, largest) -> value.
        timed: its key in latency tables, where latency depends on it.
    """

    default: Any = REQUIRED
    is_output: bool = False
    owns: bool = False
    selects: bool = False
    of_largest: Callable[[Any, SubnetSpec, SubnetSpec], Any] | None = None
    timed: str | None = None

    def gives_weights(self, value: Any) -> bool:
        """Whether a task that has this value has weights of its own by it."""
        return self.owns and value not in (None, self.default)


class Fit(Protocol):
    """Brings a weight of another model to the size that a backbone has."""

    def __call__(
        self,
        key: str,
        value: Tensor,
        target: Tensor,
        groups: int,
        source: Collection[str],
        shape: Any,
    ) -> tuple[Tensor, str]:
        """The weight, and ``'taken'``, ``'cut'`` or ``'resized'``.

        Args:
            key: of the backbone's parameter.
            target: that parameter.
            groups: its rows are this many groups, each cut by itself (q, k and v).
            source: all keys of the other model, in the backbone's names.
            shape: the backbone's.

        Raises:
            ValueError: it does not fit.
        """


def _cut(
    key: str, value: Tensor, target: Tensor, groups: int, source: Collection[str], shape: Any
) -> tuple[Tensor, str]:
    return fit_weight(key, value, target.shape, groups)


def _no_stock(module: Any, library: str, config: Mapping) -> dict[str, Any]:
    raise NoStockClassError(f'{type(module).__name__} names no class of {library} that it equals')


@dataclass(frozen=True, kw_only=True)
class PartFamily:
    """What a family of elastic modules tells of itself; ``ElasticPart.family``.

    Attributes:
        name: in messages and latency tables.
        dimensions: of its architectures.
        spaces: name -> the config of a search space, such as a published one.
        derived_settings: shape -> arguments that a module of one architecture has to be told,
            as they may follow from the whole space.
        completed: (a space's config, the module's arguments) -> the whole config, where choices
            follow from other arguments.
        stock_part: (a part of one architecture beside the backbone, library, its config) -> the
            config of upstream's own class, or ``NoStockClassError``.
    """

    name: str
    dimensions: Dimensions
    spaces: Mapping[str, Mapping | Sequence[Mapping]] = field(default_factory=dict)
    derived_settings: Callable[[Any], dict[str, Any]] = lambda shape: {}
    completed: Callable[[Any, Mapping[str, Any]], Any] = lambda config, settings: config
    stock_part: Callable[[Any, str, Mapping], dict[str, Any]] = _no_stock

    def space(
        self,
        config: str | Mapping | Sequence[Mapping],
        settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> SearchSpace:
        """A search space from its name in ``spaces`` or from its config.

        Args:
            config: the name or the config.
            settings: arguments, or config, of the module that it is of.

        Raises:
            ValueError: there is no such name; or see ``SearchSpace.from_config``.
        """
        if isinstance(config, str):
            if config not in self.spaces:
                raise ValueError(f'search space {config!r} is not one of {sorted(self.spaces)}')
            config = self.spaces[config]
        return SearchSpace.from_config(self.completed(config, settings), self.dimensions)


@dataclass(frozen=True, kw_only=True)
class Family(PartFamily):
    """Everything that only a family of backbones knows and others ask for.

    Attributes:
        block_names: (architecture, shape) -> the names of its blocks' modules, in their order. A
            block is timed by itself, and its weights have to be there when others are inherited.
        timed_parts: (task settings by their names in tables, shape as JSON has it) -> what a
            latency is made of.
        untimed: fields of the shape that latency does not depend on.
        task_settings: arguments of the backbone that may differ by task.
        styles: the keys of published weights.
        published_key: our key -> the published one, renamed as ``styles`` say, where it differs.
        fit: fits a published weight to a backbone; by default it is cut.
        reorderings: (largest architecture, shape) -> what channels may change places.
        stock_model: (backbone, library, a task's model config) -> that config with one of the
            library's own backbones, or ``NoStockClassError``.
        row_steps: (plain backbone, images, their (height, width)) -> what it computes row by row,
            the ``RowSteps`` of ``families/transformer``; None where tokens are not its unit.
        stock_key: key of that stock backbone -> ours; without it, as ``styles`` say.
    """

    block_names: Callable[[SubnetSpec, Any], list[str]]
    timed_parts: Callable[[Mapping[str, Any], Mapping[str, Any]], TimedParts]
    untimed: tuple[str, ...] = ()
    task_settings: Mapping[str, TaskSetting] = field(default_factory=dict)
    styles: tuple[KeyStyle, ...] = ()
    published_key: Callable[[str], str] = lambda key: key
    fit: Fit = _cut
    reorderings: Callable[[SubnetSpec, Any], list[Reordering]] = lambda spec, shape: []
    stock_model: Callable[[Any, str, Mapping], dict[str, Any]] = _no_stock
    row_steps: Callable[[Any, int, tuple[int, int]], Any] | None = None
    stock_key: Callable[[str], str] | None = None


_KNOWN: dict[str, Family] = {}


def register_family(family: Family) -> Family:
    """Makes a family known by its name.

    Raises:
        ValueError: another one has that name.
    """
    if _KNOWN.setdefault(family.name, family) is not family:
        raise ValueError(f'family {family.name!r}: there is one of this name already')
    return family


def known_families() -> dict[str, Family]:
    """Name -> family, of all that are installed."""
    MODELS.import_from_location()
    return dict(_KNOWN)
