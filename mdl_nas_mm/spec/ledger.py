"""Exact parameter counts of joint specs, without building a model (Eq. 10 and 11)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

import numpy as np

from .layout import Layout, ParamUse, Run, used_by
from .owners import ALL, Owners, OwnerSets, specific_owners
from .policy import Policies
from .spec import JointSpec, SubnetSpec


@dataclass(frozen=True)
class Counts:
    """Elements of a joint spec.

    Attributes:
        shared: backbone elements that any task uses of the shared weights, counted once.
        specific: task, or tasks as ``a+b`` -> backbone elements that they own.
        heads: owners -> elements outside the backbone (neck, head), elastic ones included: a
            task's own by its name, what some tasks share of them by their names, as ``a+b``.
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
        return self.backbone_separate + sum(map(self.head_of, self.backbones))

    def head_of(self, task: str) -> int:
        """Elements outside the backbone that a task uses, whoever shares them."""
        return sum(n for label, n in self.heads.items() if task in Owners.read(label))

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
    """Parameter counter: what joint specs of one backbone store.

    Args:
        layout: the backbone's parameters.
        sharing: role of a layer -> its policy.
        scores: state-dict prefix of a layer -> its scores, for layers under the mask policy.
        heads: owners, as in ``Counts``, -> elements outside the backbone that no choice changes.
        owner_sets: state-dict prefix of a layer -> sets of tasks that own its specific weights
            together; in all other layers each task owns its own.
    """

    def __init__(
        self,
        layout: Layout,
        sharing: Policies,
        scores: Mapping[str, np.ndarray] | None = None,
        heads: Mapping[str, int] | None = None,
        owner_sets: OwnerSets | None = None,
    ) -> None:
        self.layout = layout
        self.sharing = sharing
        self.scores = scores or {}
        self.heads = dict(heads or {})
        self.owner_sets = owner_sets or {}
        self._rows: dict[ParamUse, np.ndarray] = {}

    def uses(self, spec: SubnetSpec, task: str | None) -> tuple[ParamUse, ...]:
        """Every parameter that a task's architecture uses; without a task what all have."""
        return used_by(self.layout.uses(spec), task)

    def params(self, spec: SubnetSpec, task: str | None = None) -> int:
        """Backbone elements of one architecture on its own; see ``uses``."""
        return sum(use.size for use in self.uses(spec.root, task))

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

    def owners(self, use: ParamUse, task: str) -> Owners:
        """Whose the specific weights are that a task uses of a layer."""
        return specific_owners(self.owner_sets, use.layer, task)

    def several_owners(self, use: ParamUse) -> tuple[Owners, ...]:
        """The sets of some tasks that own specific weights of a layer together."""
        if not self.sharing[use.role].has_specific:
            return ()
        return tuple(each for each in self.owner_sets.get(use.layer, ()) if each.are_several)

    def weights(self, use: ParamUse, task: str) -> Iterator[tuple[Owners, np.ndarray]]:
        """Which weights a task's rows come from.

        Yields:
            Whose a weight is, and which used rows come from it, boolean (groups, channels).
        """
        policy, shared = self.sharing[use.role], self.shared_rows(use)
        if policy.has_shared:
            yield ALL, shared
        if policy.has_specific:
            yield self.owners(use, task), ~shared

    def heads_of(self, tasks: Iterable[str]) -> dict[str, int]:
        """Owners -> elements outside the backbone, of what any of some tasks owns."""
        tasks = tuple(tasks)
        found = {label: n for label, n in self.heads.items() if Owners.read(label).among(tasks)}
        return dict.fromkeys(tasks, 0) | found

    def count(self, joint: JointSpec) -> Counts:
        """Counts a joint spec; what several tasks own is the union of what their subnets use."""
        heads = self.heads_of(joint)
        for task, spec in joint.items():
            if spec.root is not spec:
                whole = sum(use.size for use in self.uses(spec, task))
                heads[task] += whole - self.params(spec, task)
        joint = JointSpec({task: spec.root for task, spec in joint.items()})
        used = {task: self.uses(spec, task) for task, spec in joint.items()}
        regions: dict[Run, list[ParamUse]] = {}
        for use in chain.from_iterable(used.values()):
            regions.setdefault(use.run, []).append(use)
        shared = sum(self._union(uses) for uses in regions.values())
        backbones = {task: sum(use.size for use in uses) for task, uses in used.items()}
        specific = {
            task: backbones[task] - sum(self._shared_size(use) for use in uses)
            for task, uses in used.items()
        }
        if self.owner_sets:
            specific = self._specific(joint)
        return Counts(shared, specific, heads, backbones)

    def _specific(self, joint: JointSpec) -> dict[str, int]:
        """Label of owners -> the union of what they use of their specific weights."""
        rows: dict[tuple[Owners, Run], list[tuple[ParamUse, np.ndarray]]] = {}
        for task, spec in joint.items():
            for use in self.uses(spec, task):
                for owners, chosen in self.weights(use, task):
                    if not owners.are_all:
                        rows.setdefault((owners, use.run), []).append((use, chosen))
        sizes = dict.fromkeys(joint, 0)
        for (owners, _), found in rows.items():
            size = _union_of_rows(sorted(found, key=lambda pair: -pair[0].columns))
            if size:
                sizes[owners.label] = sizes.get(owners.label, 0) + size
        return sizes

    def _shared_size(self, use: ParamUse) -> int:
        count = self.sharing[use.role].prefix(use.share_ratio, use.channels)
        if count is None:
            return int(self.shared_rows(use).sum()) * use.columns
        return use.groups * count * use.columns

    def _union(self, uses: list[ParamUse]) -> int:
        """Size of the union of the tasks' shared regions of one run of a parameter.

        Regions are rows x (first columns), so going from the widest to the narrowest each one
        adds only the rows that no wider one has.
        """
        uses = sorted(uses, key=attrgetter('columns'), reverse=True)
        policy, first = self.sharing[uses[0].role], uses[0]
        size, covered = 0, 0
        for use in uses:
            rows = policy.prefix(use.share_ratio, use.channels)
            if rows is None:
                return _union_of_rows([(use, self.shared_rows(use)) for use in uses])
            size += first.groups * max(0, rows - covered) * use.columns
            covered = max(covered, rows)
        return size


def _union_of_rows(regions: Sequence[tuple[ParamUse, np.ndarray]]) -> int:
    """Size of the union of rows (groups, channels) of one run, the widest first."""
    first, _ = regions[0]
    size, covered = 0, np.zeros((first.groups, first.max_channels), bool)
    for use, rows in regions:
        covers = covered[:, : use.channels]
        size += int((rows & ~covers).sum()) * use.columns
        covers |= rows
    return size
