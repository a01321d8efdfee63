"""Rows that changed, gathered, computed by one dense product, and put back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .execution import Done, Execution, Source, whole
from .gates import Gate
from .parts import Part
from .times import Times


def changed_rows(inputs: Tensor, known: Tensor, threshold: float) -> Tensor:
    """Rows (R,) whose difference has a root mean square above a threshold."""
    distance = torch.linalg.vector_norm(inputs - known, dim=1)
    return distance > threshold * inputs.shape[1] ** 0.5


class RowExecution(Execution[Tensor | None]):
    """A part is computed for some rows, with the task's own weights; all others take the source's.

    A change is a mask of rows (R,), None for all.

    Args:
        masks: see ``Execution``.
        gates: name of a part -> says of which rows the difference of the part's weights counts. A
            part that differs and has none is computed for all rows.
        dense: where more than this part of the rows changed, all are computed.
        times: of parts, as measured; by these is chosen, if given, in place of numbers of rows.
    """

    def __init__(
        self,
        masks: Mapping[str, Tensor],
        gates: Mapping[str, Gate],
        dense: float,
        times: Times | None = None,
    ) -> None:
        super().__init__(masks)
        self.gates = gates
        self.dense = dense
        self.times = times

    def split(self, part: Part) -> list[Part]:
        """The whole part at once: none of its layers joins rows."""
        return [part]

    def change(self, part: Part, inputs: Tensor, source: Source, threshold: float) -> Tensor | None:
        """Rows whose difference has a root mean square above the threshold, and gated ones."""
        if part.name in self.masks:
            return self.masks[part.name]
        pair = source.pairs[part.name]
        gated = None
        if source.is_base and part.differs:
            if part.name not in self.gates or not threshold:
                return None
            gated = self.gates[part.name](pair.inputs) > threshold
        if inputs is pair.inputs:
            mask = torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device)
        else:
            mask = changed_rows(inputs, pair.inputs, threshold)
        mask = mask if gated is None else mask | gated
        return None if self._is_dense(part, mask, source) else mask

    def cost(self, part: Part, change: Tensor | None, source: Source) -> float:
        """The part of the rows that is computed, or its seconds."""
        if self.times is not None:
            own = self.times.of(part, source.pairs[part.name])
            return own.whole if change is None else own.update(int(change.sum()), source.kind)
        return 1.0 if change is None else int(change.sum()) / len(change)

    def rows(self, part: Part, change: Tensor | None, source: Source) -> Tensor | None:
        """See ``Execution``."""
        return change

    def update(self, part: Part, inputs: Tensor, change: Tensor | None, source: Source) -> Done:
        """See ``Execution``."""
        pair = source.pairs[part.name]
        if change is None:
            inputs = inputs.clone() if inputs is pair.inputs else inputs
            return whole(part, inputs)
        rows = change.nonzero()[:, 0]
        if not len(rows):
            return Done(pair, 0, 0, 0.0)
        own = pair.copy() if source.is_base else pair
        chosen = inputs.index_select(0, rows)
        own.inputs.index_copy_(0, rows, chosen)
        own.outputs.index_copy_(0, rows, part(chosen))
        return Done(own, len(rows), len(rows) * part.products, len(rows) / len(inputs))

    def _is_dense(self, part: Part, mask: Tensor, source: Source) -> bool:
        """Whether so many rows changed that computing all costs no more."""
        rows = int(mask.sum())
        if self.times is not None:
            own = self.times.of(part, source.pairs[part.name])
            return own.update(rows, source.kind) >= own.whole
        return rows > self.dense * len(mask)
