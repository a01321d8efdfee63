"""What is known of any backbone of upstream's: that it is one whole."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mdl_nas_mm.elastic.family import Family, register_family
from mdl_nas_mm.spec import Dimensions, SearchSpace, SubnetSpec
from mdl_nas_mm.spec.dimensions import blocks_of, size


@dataclass(frozen=True)
class WholeBlock:
    """All of a backbone: the one block of its one architecture."""

    whole_width: int = size('width', whole=True)


@dataclass(frozen=True)
class WholeStage:
    """The one stage."""

    blocks: tuple[WholeBlock, ...] = blocks_of(WholeBlock)


@dataclass(frozen=True)
class WholePart:
    """What is timed at once: everything."""

    kind: str = 'block'


class WholeParts:
    """What its latency is made of."""

    kind = WholePart

    def parts(self, spec: SubnetSpec) -> list[WholePart]:
        """All of it."""
        return [WholePart()]

    def all_parts(self, space: SearchSpace) -> list[WholePart]:
        """All of it."""
        return [WholePart()]

    def covering_specs(self, space: SearchSpace, rng: random.Random) -> Iterator[SubnetSpec]:
        """The one architecture."""
        yield space.largest()


def _stock_model(backbone: Any, library: str, model: Mapping) -> dict[str, Any]:
    """A task's model config with the backbone that is whole in ours."""
    module = dict(backbone.module_config)
    module['type'] = module['type'].removeprefix(f'{library}.')
    return dict(model, backbone=module)


UPSTREAM = register_family(
    Family(
        name='upstream',
        dimensions=Dimensions(WholeStage),
        spaces={'whole': dict(depth=1, whole_width=1)},
        block_names=lambda spec, shape: ['module'],
        timed_parts=lambda settings, shape: WholeParts(),
        stock_model=_stock_model,
        stock_key='module.{}'.format,
    )
)
