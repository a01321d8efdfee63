"""The policies of a backbone and of the elastic parts beside it, as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mdl_nas_mm.spec.composed import OF

from .base import SharingKind
from .sharing import Sharing


@dataclass(frozen=True)
class ComposedSharing:
    """The policy of every role of a ``ComposedLayout``.

    Attributes:
        root: of the backbone.
        parts: name of a part -> its policies.
    """

    root: Sharing
    parts: Mapping[str, Sharing]

    def __getitem__(self, role: str) -> SharingKind:
        part, of, own = role.rpartition(OF)
        return self.parts[part][own] if of else self.root[role]

    @property
    def has_scores(self) -> bool:
        """Whether any layer owns a score a channel."""
        return any(sharing.has_scores for sharing in (self.root, *self.parts.values()))
