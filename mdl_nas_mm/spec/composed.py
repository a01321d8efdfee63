"""A backbone and the elastic parts beside it, as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from .layout import Layout, ParamUse
from .spec import SubnetSpec

# Between the name of a part and that of one of its roles.
OF = ':'


@dataclass(frozen=True)
class PartLayout:
    """Where an elastic part is.

    Attributes:
        prefix: what the names of its parameters begin with in a joint model.
        placed: architecture of all -> that of the part; see ``ElasticPart.placed``.
    """

    prefix: str
    layout: Layout
    placed: Callable[[SubnetSpec], SubnetSpec]


class ComposedLayout:
    """The layout of a backbone and of the parts that an architecture has beside it.

    Names of the backbone's parameters are relative to it, as in its own layout, those of parts
    are whole; see ``mdl_nas_mm.spec.owners``.

    Args:
        root: of the backbone.
        parts: name -> an elastic part; of all tasks.
    """

    def __init__(self, root: Layout, parts: Mapping[str, PartLayout]) -> None:
        self.root, self.members, self.shape = root, dict(parts), root.shape
        # Of all parts, though no task may have all of them.
        self.space = root.space.with_parts(
            {name: part.layout.space for name, part in parts.items()}
        )
        self.part_uses = lru_cache(None)(self.part_uses)

    def __reduce__(self) -> tuple:
        # What was remembered stays behind; it can be neither pickled nor copied.
        return ComposedLayout, (self.root, self.members)

    def parts(self, spec: SubnetSpec) -> list[tuple]:
        """Keys of what ``uses`` is made of."""
        keys = self.root.parts(spec.root)
        for name, _ in spec.parts:
            member = self.members[name]
            keys += [(OF + name, *key) for key in member.layout.parts(member.placed(spec))]
        return keys

    def part_uses(self, part: tuple) -> tuple[ParamUse, ...]:
        """Every parameter that a part of an architecture uses."""
        name = str(part[0])
        if not name.startswith(OF):
            return self.root.part_uses(part)
        name = name.removeprefix(OF)
        member = self.members[name]
        return tuple(_named(use, name, member) for use in member.layout.part_uses(part[1:]))

    def uses(self, spec: SubnetSpec) -> tuple[ParamUse, ...]:
        """Every parameter that ``spec`` uses."""
        return tuple(use for part in self.parts(spec) for use in self.part_uses(part))

    def flops(
        self,
        spec: SubnetSpec,
        input_size: tuple[int, int],
        attention_products: bool = True,
        settings: Mapping[str, Any] | None = None,
    ) -> int:
        """Multiply-adds of the backbone alone."""
        return self.root.flops(spec.root, input_size, attention_products, settings)


def _named(use: ParamUse, part: str, member: PartLayout) -> ParamUse:
    role = use.role if use.role == 'stem' else f'{part}{OF}{use.role}'
    return replace(use, name=f'{member.prefix}.{use.name}', role=role)
