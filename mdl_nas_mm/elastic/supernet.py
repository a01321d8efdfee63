"""All that is elastic in a joint model: its backbone, and the parts beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from torch import nn

from mdl_nas_mm.sharing import Sharing
from mdl_nas_mm.sharing.composed import ComposedSharing
from mdl_nas_mm.spec import Layout, Ledger, Owners, SubnetSpec
from mdl_nas_mm.spec.composed import ComposedLayout, PartLayout

from .backbone import ElasticBackbone
from .head_times import TimedLayer


class Choosing(Protocol):
    """What has an architecture of its own, such as an ``ElasticPart``."""

    layout: Layout
    sharing: Sharing

    def put_beside(
        self, name: str, inputs_of: Callable[[SubnetSpec], tuple[int, ...]] | None
    ) -> None:
        """Tells it its place in a model; see ``ElasticPart``."""

    def placed(self, spec: SubnetSpec) -> SubnetSpec:
        """Its part of an architecture of a whole model; see ``ElasticPart``."""

    def flops_on(self, inputs: Any) -> Callable[[SubnetSpec], int] | None:
        """Architecture -> multiply-adds on inputs of one size; see ``ElasticPart``."""

    def timed_layers(self, spec: SubnetSpec) -> Sequence[TimedLayer] | None:
        """The layers that take its time; see ``ElasticPart``."""

    def scores(self) -> dict[str, np.ndarray]:
        """State-dict prefix -> mask scores of the layers that have any."""

    def owner_sets(self) -> dict[str, tuple[Owners, ...]]:
        """State-dict prefix -> sets of tasks, of the layers that these own together."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Relative name -> parameter."""


@dataclass(frozen=True)
class Member:
    """An elastic part of a joint model.

    Attributes:
        prefix: what the names of its entries begin with in the joint model.
        tasks: the names of its owners.
        is_fed: whether the backbone's maps go into it.
        is_here: whether this process has its weights.
    """

    prefix: str
    part: Choosing
    tasks: tuple[str, ...]
    is_fed: bool = False
    is_here: bool = True

    @property
    def owners(self) -> Owners:
        """The tasks as a set."""
        return Owners.of(*self.tasks)


class Supernet:
    """A backbone and elastic parts beside it, as one.

    Entries of the backbone have the names that they have in it, those of parts the whole names of
    the joint model. Parts are told their names, and where they learn how many channels they are
    given.

    Args:
        backbone: whose space, layout and sharing those of the parts are put beside.
        members: name in architectures -> the part.
    """

    def __init__(self, backbone: ElasticBackbone, members: Mapping[str, Member]) -> None:
        self.backbone, self.members = backbone, dict(members)
        self.layout: Layout = backbone.layout
        self.sharing: Sharing | ComposedSharing = backbone.sharing
        for name, member in members.items():
            given = partial(backbone.active_channels, member.tasks[0])
            member.part.put_beside(name, given if member.is_fed else None)
        if members:
            layouts = {
                name: PartLayout(member.prefix, member.part.layout, member.part.placed)
                for name, member in members.items()
            }
            self.layout = ComposedLayout(backbone.layout, layouts)
            policies = {name: member.part.sharing for name, member in members.items()}
            self.sharing = ComposedSharing(backbone.sharing, policies)
            # A ratio of the few channels of a narrow backbone may be none; better said now.
            self.layout.uses(self.layout.space.smallest())

    @property
    def parts(self) -> dict[str, Choosing]:
        """Name -> part."""
        return {name: member.part for name, member in self.members.items()}

    def scores(self) -> dict[str, np.ndarray]:
        """State-dict prefix -> mask scores (groups * max_channels,) of the layers that have any."""
        found = self.backbone.scores()
        for member in self._here():
            found |= {f'{member.prefix}.{k}': v for k, v in member.part.scores().items()}
        return found

    def ledger(
        self,
        heads: Mapping[str, int] | None = None,
        scores: Mapping[str, np.ndarray] | None = None,
    ) -> Ledger:
        """The ledger of all of it.

        Args:
            heads: see ``Ledger``.
            scores: as ``scores`` gives them; by default the present ones.
        """
        owner_sets = self.backbone.owner_sets()
        for member in self._here():
            owner_sets |= {f'{member.prefix}.{k}': v for k, v in member.part.owner_sets().items()}
        scores = self.scores() if scores is None else scores
        return Ledger(self.layout, self.sharing, scores, heads, owner_sets)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Those of the backbone, then of the parts that are here."""
        yield from self.backbone.named_parameters()
        for member in self._here():
            for name, parameter in member.part.named_parameters():
                yield f'{member.prefix}.{name}', parameter

    def _here(self) -> Iterator[Member]:
        return (member for member in self.members.values() if member.is_here)
