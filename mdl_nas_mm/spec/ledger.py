"""Exact parameter counts of joint specs, without building a model (Eq. 10 and 11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .layout import Layout, ParamUse
from .sharing import Sharing
from .spec import JointSpec, SubnetSpec


@dataclass(frozen=True)
class Counts:
    """Elements of a joint spec.

    Attributes:
        shared: backbone elements that any task uses of the shared weights, counted once.
        specific: task -> backbone elements of its own.
        heads: task -> elements outside the backbone (neck, head).
        backbones: task -> elements of its backbone stored on its own.
    """

    shared: int
    specific: dict[str, int]
    heads: dict[str, int]
    backbones: dict[str, int]

    @property
    def backbone_total(self) -> int:
        """Backbone elements of the one file: P_share + sum of P_spe (Eq. 10)."""
        return self.shared + sum(self.specific.values())

    @property
    def backbone_separate(self) -> int:
        """Backbone elements of one file a task."""
        return sum(self.backbones.values())

    @property
    def total(self) -> int:
        """Elements of the one file, heads included."""
        return self.backbone_total + sum(self.heads.values())

    @property
    def separate(self) -> int:
        """Elements of one file a task, heads included."""
        return self.backbone_separate + sum(self.heads.values())

    def with_totals(self) -> dict[str, int | dict[str, int]]:
        """For reports: what is shared, specific and in heads, and what it comes to."""
        return dict(
            shared=self.shared,
            specific=dict(self.specific),
            heads=dict(self.heads),
            backbone_total=self.backbone_total,
            backbone_separate=self.backbone_separate,
            total=self.total,
            separate=self.separate,
        )


class Ledger:
    """Counts what joint specs of one backbone store.

    Args:
        layout: the backbone's parameters.
        sharing: the policies by kind of layer.
        scores: state-dict prefix of a layer -> its scores, for layers under the mask policy.
        heads: task -> elements outside the backbone, which no choice changes.
    """

    def __init__(
        self,
        layout: Layout,
        sharing: Sharing,
        scores: Mapping[str, np.ndarray] | None = None,
        heads: Mapping[str, int] | None = None,
    ) -> None:
        self.layout = layout
        self.sharing = sharing
        self.scores = scores or {}
        self.heads = dict(heads or {})
        self._rows: dict[ParamUse, np.ndarray] = {}

    def params(self, spec: SubnetSpec) -> int:
        """Backbone elements of one architecture on its own."""
        return sum(use.size for use in self.layout.uses(spec))

    def scores_of(self, use: ParamUse) -> np.ndarray:
        """Scores (groups * max_channels,) of a layer under the mask policy, or ValueError."""
        if use.layer not in self.scores:
            raise ValueError(f'ledger: no mask scores for layer {use.layer!r}')
        return self.scores[use.layer]

    def shared_rows(self, use: ParamUse) -> np.ndarray:
        """Boolean (groups, channels): which used rows are shared. Kept, so not to be changed."""
        rows = self._rows.get(use)
        if rows is None:
            policy = self.sharing[use.role]
            scores = self.scores_of(use) if policy.has_scores else None
            rows = policy.shared_channels(use.share_ratio, use.channels, use.groups, scores)
            self._rows[use] = rows
        return rows

    def count(self, joint: JointSpec) -> Counts:
        """Counts a joint spec; the shared part is the union of what its subnets use."""
        regions: dict[str, list[ParamUse]] = {}
        for spec in joint.values():
            for use in self.layout.uses(spec):
                regions.setdefault(use.name, []).append(use)
        shared = sum(self._union(uses) for uses in regions.values())
        backbones = {task: self.params(spec) for task, spec in joint.items()}
        specific = {
            task: backbones[task] - sum(self._shared_size(use) for use in self.layout.uses(spec))
            for task, spec in joint.items()
        }
        heads = {task: self.heads.get(task, 0) for task in joint}
        return Counts(shared, specific, heads, backbones)

    def _shared_size(self, use: ParamUse) -> int:
        policy = self.sharing[use.role]
        if policy.has_scores:
            return int(self.shared_rows(use).sum()) * use.columns
        return use.groups * policy.num_shared(use.share_ratio, use.channels) * use.columns

    def _union(self, uses: list[ParamUse]) -> int:
        """Size of the union of the tasks' shared regions of one parameter.

        Regions are rows x (first columns), so going from the widest to the narrowest each one
        adds only the rows that no wider one has.
        """
        uses = sorted(uses, key=lambda use: use.columns, reverse=True)
        policy, first = self.sharing[uses[0].role], uses[0]
        if not policy.has_scores:
            size, covered = 0, 0
            for use in uses:
                rows = policy.num_shared(use.share_ratio, use.channels)
                size += first.groups * max(0, rows - covered) * use.columns
                covered = max(covered, rows)
            return size
        size, covered = 0, np.zeros((first.groups, first.max_channels), bool)
        for use in uses:
            rows = self.shared_rows(use)
            covers = covered[:, : use.channels]
            size += int((rows & ~covers).sum()) * use.columns
            covers |= rows
        return size
