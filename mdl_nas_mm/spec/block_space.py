"""The choices of one block, for the dimensions that a family declares."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

from .choices import Choices, check_choice, check_contained
from .dimensions import Dimension, declared


@dataclass(frozen=True)
class BlockSpace:
    """Choices of one block.

    Attributes:
        kind: the family's class of a block.
        choices: an ascending tuple for each of its dimensions. None for a share ratio that is
            tied to its default: one ratio a block, as in the paper's ViT space (Appendix B); its
            Swin space has two.
    """

    kind: type
    choices: tuple[Choices | None, ...]

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """What there are choices for."""
        return declared(self.kind)

    @cached_property
    def named(self) -> dict[str, Choices]:
        """Dimension -> its choices, those of a tied one included."""
        found: dict[str, Choices] = {}
        for dimension, choices in zip(self.dimensions, self.choices):
            found[dimension.name] = found[dimension.tied_to] if choices is None else choices
        return found

    @cached_property
    def _columns(self) -> tuple[tuple[Dimension, Choices | None], ...]:
        return tuple(zip(self.dimensions, self.choices))

    def tied(self) -> set[str]:
        """The share ratios that are tied to another."""
        return {d.name for d, choices in self._columns if choices is None}

    def sample(self, rng: random.Random) -> Any:
        """A block sampled uniformly."""
        values: list[Any] = []
        for choices, default in self._plan:
            values.append(values[default] if choices is None else rng.choice(choices))
        return self.kind(*values)

    def sample_ratios(self, rng: random.Random) -> dict[str, float]:
        """Share ratios sampled uniformly."""
        values: dict[str, float] = {}
        for d, choices in self._columns:
            if d.is_ratio:
                values[d.name] = values[d.tied_to] if choices is None else rng.choice(choices)
        return values

    def extreme(self, size: int, ratio: int) -> Any:
        """The block of the first (0) or last (-1) choices of its sizes and of its share ratios."""
        if (size, ratio) not in self._extremes:
            columns = zip(self.dimensions, self.named.values())
            values = (own[ratio if d.is_ratio else size] for d, own in columns)
            self._extremes[size, ratio] = self.kind(*values)
        return self._extremes[size, ratio]

    @cached_property
    def _plan(self) -> tuple[tuple[Choices | None, int], ...]:
        """For each dimension its choices, and the place of the one that it is tied to."""
        return tuple(
            (choices, self._names.index(d.tied_to) if choices is None else -1)
            for d, choices in self._columns
        )

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(dimension.name for dimension in self.dimensions)

    @cached_property
    def _extremes(self) -> dict[tuple[int, int], Any]:
        return {}

    def with_every_ratio(self, block: Any) -> list[Any]:
        """The block with every combination of share ratios that it may have."""
        return self._variants(block, are_ratios=True)

    def with_every_size(self, block: Any) -> list[Any]:
        """The block with every combination of sizes that it may have."""
        return self._variants(block, are_ratios=False)

    def _variants(self, block: Any, are_ratios: bool) -> list[Any]:
        tied = self.tied()
        meant = [d for d in self.dimensions if d.is_ratio == are_ratios]
        free = [d.name for d in meant if d.name not in tied]
        named, variants = self.named, []
        for values in product(*(named[name] for name in free)):
            given = dict(zip(free, values))
            for d in meant:
                if d.name in tied:
                    given[d.name] = given[d.tied_to]
            variants.append(replace(block, **given))
        return variants

    def has(self, block: Any) -> bool:
        """Whether a block is one of the choices."""
        values = [getattr(block, name) for name in self._names]
        for value, (choices, default) in zip(values, self._plan):
            if value != values[default] if choices is None else value not in choices:
                return False
        return True

    def check(self, block: Any, where: str) -> None:
        """Raises ValueError, naming ``where``, for a block outside the choices."""
        for dimension, choices in self._columns:
            allowed = (getattr(block, dimension.tied_to),) if choices is None else choices
            check_choice(getattr(block, dimension.name), allowed, f'{where}, {dimension.name}')

    def check_part_of(self, whole: BlockSpace, where: str, called: str) -> None:
        """Raises ValueError, naming ``where``, for a choice that the whole does not have."""
        if whole.tied() - self.tied():
            raise ValueError(f'{where}: {called} has one share ratio a block')
        allowed = whole.named
        for name, choices in self.named.items():
            check_contained(choices, allowed[name], f'{where}, {name}')
