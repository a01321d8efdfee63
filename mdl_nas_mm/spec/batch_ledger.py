"""Totals of many joint specs at once.

What a task shares of a layer is a rectangle, its shared rows times its used columns, and what two
tasks both share of it is one again, with the fewer columns. Its rows follow without looking at
them where the policy has a closed form: of two prefixes the shorter; of rows whose level is at
least the share ratio, as of the mask policy with a score threshold, those of the higher ratio
among the fewer channels. Any other choice of rows is compared bit by bit, and so is what some
tasks own together, which the others have no rows of. So the union over all tasks follows by
inclusion and exclusion, in a few array operations for all joint specs together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations, groupby

import numpy as np

from .layout import ParamUse, used_by
from .ledger import Ledger
from .owners import ALL, Owners, specific_owners
from .spec import JointSpec, SubnetSpec

# A layer's uses, and whose weights are meant that several tasks may take rows of.
Weights = tuple[list[ParamUse], Owners]
# Bytes of each table that are looked up together; more do not fit into a processor's cache.
_CHUNK = 1 << 18
# Of each number of 16 bits, how many of them are set.
_ONES = np.unpackbits(np.arange(1 << 16, dtype='>u2').view(np.uint8)).reshape(-1, 16).sum(1, 'u1')
# What some tasks have in common of rows, columns, channels, share ratios and bits.
_BOTH = (np.minimum, np.minimum, np.minimum, np.maximum, np.bitwise_and)


class BatchLedger:
    """Counts the same totals as ``Ledger.count``, of many joint specs in one call.

    An architecture is encoded as a row of numbers, one for each part of its layout; what a part
    uses is looked up in tables that grow with every new part.

    Args:
        ledger: what is counted.
        with_heads: whether totals include what lies outside the backbones, elastic parts too.
    """

    def __init__(self, ledger: Ledger, with_heads: bool = True) -> None:
        self.ledger, self.layout = ledger, ledger.layout
        self.with_heads = with_heads
        largest = [self.layout.part_uses(part) for part in self.layout.parts(self._largest())]
        self._slots = {uses[0].name: slot for slot, uses in enumerate(largest)}
        weights = [self._weights(uses) for uses in largest]
        self._width = max(map(len, weights))
        self._roles = {use.role for uses in largest for use in uses}
        self._all_alike = all(use.tasks is None for uses in largest for use in uses)
        self._ratios = sorted({1.0} | self.layout.space.share_ratios())
        self._passing = self._score_tables(weights)
        self._parts: dict[tuple, dict[tuple, tuple[int, int]]] = {}
        # Number 0 is the part that an architecture does not have.
        self._tables: list[np.ndarray] = [np.zeros((1, self._width), np.int64) for _ in range(4)]
        self._own: np.ndarray = np.zeros(1, np.int64)
        self._bits: np.ndarray = np.zeros((1, self._width, self._most_words(weights)), np.uint16)

    def totals(self, joints: Sequence[JointSpec]) -> np.ndarray:
        """Parameters (P_share + sum of P_spe, and heads) of joint specs of one set of tasks."""
        if not joints:
            return np.zeros(0, np.int64)
        tasks = tuple(joints[0])
        encoded = [self.encode([joint[task] for joint in joints], task) for task in tasks]
        return self.unions(encoded) + self.head_total(tasks)

    def head_total(self, tasks: Iterable[str]) -> int:
        """What totals have of elements outside the backbones of some tasks."""
        return sum(self.ledger.heads_of(tasks).values()) if self.with_heads else 0

    def counted(self, spec: SubnetSpec) -> SubnetSpec:
        """What of an architecture the totals are of."""
        return spec if self.with_heads else spec.root

    def encode(self, specs: Sequence[SubnetSpec], task: str) -> np.ndarray:
        """(len(specs), parts): the number of each part of each of a task's architectures."""
        # Tasks that own nothing together have the same numbers.
        known = self._parts.setdefault(self._groups_of(task), {})
        rows = []
        for spec in specs:
            row = [0] * len(self._slots)
            for part in self._parts_of(spec, task):
                found = known.get(part)
                if found is None:
                    found = known[part] = self._add(part, task)
                row[found[0]] = found[1]
            rows.append(row)
        return np.array(rows, np.int64).reshape(len(specs), len(self._slots))

    def _parts_of(self, spec: SubnetSpec, task: str) -> list[tuple]:
        parts = self.layout.parts(self.counted(spec))
        if self._all_alike:
            return parts
        return [part for part in parts if used_by(self.layout.part_uses(part), task)]

    def unions(self, encoded: Sequence[np.ndarray]) -> np.ndarray:
        """Backbone parameters of joint specs, from the encoded architectures of each task."""
        encoded, count = self._merged(encoded), len(encoded[0])
        layers, longest = len(self._slots) * self._width, max(8, 2 * self._bits.shape[2])
        most = max(1, _CHUNK // (layers * longest))
        chunks = [slice(start, start + most) for start in range(0, count, most)]
        return np.concatenate([self._unions([rows[chunk] for rows in encoded]) for chunk in chunks])

    def _merged(self, encoded: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Fewer architectures of the same union: one of tasks that agree in what both have.

        The union over sets of tasks takes twice as long with each task. Tasks that share a pass
        have parts of one architecture; where none owns weights, that is their union.
        """
        if any(self.ledger.sharing[role].has_specific for role in self._roles):
            return list(encoded)
        found: list[np.ndarray] = []
        for rows in encoded:
            for i, known in enumerate(found):
                if ((rows == known) | (rows == 0) | (known == 0)).all():
                    found[i] = np.maximum(rows, known)
                    break
            else:
                found.append(rows)
        return found

    def specific(self, encoded: np.ndarray) -> np.ndarray:
        """Backbone parameters of encoded architectures that no other task could share."""
        own = self._known_of(encoded)
        return self._own[encoded].sum(axis=1) - self._shared(own)

    def _unions(self, encoded: list[np.ndarray]) -> np.ndarray:
        own = (self._own[rows].sum(axis=1) for rows in encoded)
        total: np.ndarray = sum(own, np.zeros(len(encoded[0]), np.int64))
        common: dict[tuple[int, ...], list[np.ndarray]] = {
            (task,): self._known_of(rows) for task, rows in enumerate(encoded)
        }
        for size in range(2, len(encoded) + 1):
            for tasks in combinations(range(len(encoded)), size):
                pairs = zip(common[tasks[:-1]], common[tasks[-1:]], strict=True)
                common[tasks] = [both(*pair) for both, pair in zip(_BOTH, pairs)]
                total = total + (-1) ** (size + 1) * self._shared(common[tasks])
        return total

    def _known_of(self, encoded: np.ndarray) -> list[np.ndarray]:
        """What the tables and the bits say of one task's architectures."""
        return [table[encoded] for table in (*self._tables, self._bits)]

    def _shared(self, known: Sequence[np.ndarray]) -> np.ndarray:
        """(joint specs,): elements that tasks share which have this in common."""
        rows, columns, channels, ratios, bits = known
        if self._passing is not None:
            slots, layers = np.ogrid[: rows.shape[1], : rows.shape[2]]
            rows = rows + self._passing[slots, layers, channels, ratios]
        if bits.shape[2]:
            rows = rows + _ONES[bits].sum(axis=3, dtype=np.int64)
        return np.einsum('npl,npl->n', rows, columns)

    def _groups_of(self, task: str) -> tuple:
        """The layers of which a task owns weights with others, and with whom."""
        sets = self.ledger.owner_sets
        found = [(layer, specific_owners(sets, layer, task)) for layer in sets]
        return tuple(pair for pair in found if pair[1].are_several)

    def _weights(self, uses: Sequence[ParamUse]) -> list[Weights]:
        """Of each layer its shared weights, then those that some tasks own together."""
        several = self.ledger.several_owners
        return [
            (layer, owners) for layer in uses_by_layer(uses) for owners in (ALL, *several(layer[0]))
        ]

    def _add(self, part: tuple, task: str) -> tuple[int, int]:
        """Enters a part into the tables; its slot and number."""
        uses = self.layout.part_uses(part)
        new = np.zeros((4, 1, self._width), np.int64)
        bits = np.zeros((1, *self._bits.shape[1:]), np.uint16)
        for place, (layer, owners) in enumerate(self._weights(uses)):
            if task not in owners:
                continue
            first = layer[0]
            new[1, 0, place] = sum(use.columns for use in layer)
            prefix = self._prefix(first)
            if owners.are_all and prefix is not None:
                new[0, 0, place] = first.groups * prefix
            elif owners.are_all and self._levels(first) is not None:
                new[2, 0, place] = first.channels
                new[3, 0, place] = self._ratios.index(first.share_ratio)
            else:
                rows = self.ledger.shared_rows(first)
                rows = rows if owners.are_all else ~rows
                lengths = replace(first, columns=1).row_lengths(rows)
                packed = np.packbits(lengths.astype(bool))
                bits[0, place].view(np.uint8)[: len(packed)] = packed
        self._tables = [np.concatenate(pair) for pair in zip(self._tables, new)]
        self._own = np.append(self._own, sum(use.size for use in uses))
        self._bits = np.concatenate((self._bits, bits))
        return self._slots[uses[0].name], len(self._own) - 1

    def _score_tables(self, weights: list[list[Weights]]) -> np.ndarray | None:
        """[part, layer, c, ratio]: rows of the first c channels whose level is at least a ratio."""
        scored = [
            (slot, place, layer[0])
            for slot, of_part in enumerate(weights)
            for place, (layer, owners) in enumerate(of_part)
            if owners.are_all and self._levels(layer[0]) is not None
        ]
        if not scored:
            return None
        longest = max(use.max_channels for _, _, use in scored)
        shape = (len(weights), self._width, longest + 1, len(self._ratios))
        tables = np.zeros(shape, np.int32)
        for slot, place, use in scored:
            levels = self._levels(use)
            assert levels is not None
            levels = levels.reshape(use.groups, -1)
            for i, ratio in enumerate(self._ratios):
                passing = (levels >= np.float32(ratio)).sum(axis=0).cumsum()
                tables[slot, place, 1 : len(passing) + 1, i] = passing
                tables[slot, place, len(passing) + 1 :, i] = passing[-1]
        return tables

    def _most_words(self, weights: list[list[Weights]]) -> int:
        """16 bits each, for a bit of each row of a layer where rows are compared so."""
        rows = [
            layer[0].groups * layer[0].max_channels
            for of_part in weights
            for layer, owners in of_part
            if not owners.are_all
            or (self._prefix(layer[0]) is None and self._levels(layer[0]) is None)
        ]
        return -(-max(rows, default=0) // 16)

    def _prefix(self, use: ParamUse) -> int | None:
        return self.ledger.sharing[use.role].prefix(use.share_ratio, use.channels)

    def _levels(self, use: ParamUse) -> np.ndarray | None:
        """(groups * max_channels,) of a layer whose policy shares by levels, or None."""
        policy = self.ledger.sharing[use.role]
        return policy.levels(self.ledger.scores_of(use)) if policy.has_scores else None

    def _largest(self) -> SubnetSpec:
        return self.counted(self.layout.space.largest())


def uses_by_layer(uses: Sequence[ParamUse]) -> list[list[ParamUse]]:
    """The uses layer by layer; a layer's weight and bias share the same rows.

    Of two runs of columns two architectures have the fewer each by itself, so that only the first
    goes with the bias.
    """
    groups = groupby(uses, key=lambda use: (use.layer, use.channels, use.first_column))
    return [list(group) for _, group in groups]
