"""One task's way through one frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from mdl_nas_mm.families.transformer.row_steps import BlockSteps, MergingSteps, RowAttention

from .execution import PLAIN, Execution, Source, whole
from .parts import Part, TaskSteps
from .state import Pairs
from .work import Work


@dataclass(eq=False)
class Passed:
    """What a task computed of a frame.

    Attributes:
        pairs: name of a part -> its pair.
        rows: name of the first part of half a block, or of a merging -> the rows in front of it
            and behind it.
    """

    pairs: Pairs = field(default_factory=dict)
    rows: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Half:
    """Half of a block, or a merging.

    Attributes:
        parts: in order.
        others: prefixes of what else it has of parameters.
        compute: rows in front of it to rows behind it.
    """

    parts: tuple[Part, ...]
    others: tuple[str, ...]
    compute: Callable[[Tensor], Tensor]


class Stream:
    """Runs a task's steps on a frame, each from the source that costs least.

    Args:
        task: its name.
        steps: its steps.
        execution: how parts are brought up to date.
        thresholds: source -> threshold of each block.
        exact: whether attention is exact, see ``SharingSettings``.
        base: what the base computed of this frame; None to take over nothing of it.
        before: what this task computed of the frame before, which is used up; empty to take over
            nothing.
        caches: whether the next frame may take over something.

    Attributes:
        passed: what it computed.
        cached: name of a part -> what the next frame may take over.
        work: what it took.
    """

    def __init__(
        self,
        task: str,
        steps: TaskSteps,
        execution: Execution,
        thresholds: Mapping[str, Sequence[float]],
        exact: bool,
        base: Passed | None = None,
        before: Pairs | None = None,
        caches: bool = False,
    ) -> None:
        self.task, self.steps, self.execution = task, steps, execution
        self.thresholds, self.exact = thresholds, exact
        self.base, self.before, self.caches = base, before or {}, caches
        self.passed = Passed()
        self.cached: Pairs = {}
        self.work: list[Work] = []

    def run(self, rows: Tensor, inputs: Tensor | None = None) -> tuple[Tensor, ...]:
        """The outputs of the backbone.

        Args:
            rows: embedded, (R, C).
            inputs: those of the first part, where they are known.
        """
        outputs = {}
        for number, step in enumerate(self.steps.rows.steps):
            for half in self._halves(step, None if number else inputs):
                front, behind = rows, self._taken_over(half, step, rows)
                if behind is None:
                    behind = half.compute(rows)
                    self._cache(half.parts)
                self.passed.rows[half.parts[0].name] = (front, behind)
                rows = behind
            if number in self.steps.rows.outputs:
                outputs[number] = self.steps.rows.outputs[number](rows)
        return tuple(outputs[number] for number in self.steps.rows.order)

    def _halves(self, step: BlockSteps | MergingSteps, inputs: Tensor | None) -> list[_Half]:
        name, parts = step.name, self.steps.parts[step.name]
        if isinstance(step, MergingSteps):
            merge = lambda rows: self._advance(parts[0], step.gather(rows))  # noqa: E731
            return [_Half(parts, (f'{name}.norm.',), merge)]
        qkv, proj, mlp = parts
        normed = lambda rows: step.norm1(rows) if inputs is None else inputs  # noqa: E731
        return [
            _Half(
                (qkv, proj),
                (f'{name}.norm1.', f'{name}.attn.'),
                lambda rows: rows + self._attend(step, qkv, proj, normed(rows)),
            ),
            _Half(
                (mlp,),
                (f'{name}.norm2.',),
                lambda rows: rows + self._advance(mlp, step.norm2(rows)),
            ),
        ]

    def _taken_over(
        self, half: _Half, step: BlockSteps | MergingSteps, rows: Tensor
    ) -> Tensor | None:
        """What the base has behind a half, if nothing has differed so far and nothing does here.

        It costs nothing at all.
        """
        if self.base is None or any(part.differs for part in half.parts):
            return None
        front, behind = self.base.rows[half.parts[0].name]
        if rows is not front or self.steps.differs(*half.others):
            return None
        for part in half.parts:
            for each in self.execution.split(part):
                self.passed.pairs[each.name] = pair = self.base.pairs[each.name]
                products = len(pair.inputs) * each.products
                self._note(each.name, 'base', products, 0, 0, 0.0, 0.0)
        if isinstance(step, BlockSteps) and len(half.parts) == 2:
            attention = self._products(step.attention, rows, None)
            self._note(f'{step.name}.attention', 'base', attention, 0, 0, 0.0, 0.0)
        return behind

    def _attend(self, step: BlockSteps, qkv: Part, proj: Part, inputs: Tensor) -> Tensor:
        """What the attention half of a block adds to the rows."""
        source, change = self._choose((qkv, proj), inputs)
        values = self._update(qkv, inputs, source, change)
        mask = None
        if source is not PLAIN:
            mask = self.execution.rows(qkv, change, source)
            if source.is_base and self.steps.differs(f'{step.name}.attn.'):
                mask = None
        attended, mask = self._attended(step.attention, values, mask, proj, source)
        products = self._products(step.attention, inputs, None)
        executed = self._products(step.attention, inputs, mask)
        rows = len(inputs) if mask is None else int(mask.sum())
        name = f'{step.name}.attention'
        self._note(name, source.kind, products, executed, rows, rows / len(inputs), 0.0)
        return self._advance(proj, attended, source)

    def _attended(
        self, attention: RowAttention, qkv: Tensor, mask: Tensor | None, proj: Part, source: Source
    ) -> tuple[Tensor, Tensor | None]:
        """Attended values (R, C), and of which rows they are new; None for all."""
        if mask is not None and self.exact:
            mask = attention.touched(mask)
        if mask is None or bool(mask.all()):
            return attention.all_rows(qkv), None
        known = source.pairs[proj.name].inputs
        if not bool(mask.any()):
            return known, mask
        attended = known.clone()
        attended[mask] = attention.some_rows(qkv, mask)
        return attended, mask

    def _advance(self, part: Part, inputs: Tensor, source: Source | None = None) -> Tensor:
        """The outputs of a part; from the source that costs least, unless one is given."""
        first, *others = self.execution.split(part)
        if source is None:
            source, change = self._choose((first, *others), inputs)
        else:
            change = self._change(first, inputs, source)
        outputs = self._update(first, inputs, source, change)
        for each in others:
            inputs = F.gelu(outputs)
            outputs = self._update(each, inputs, source, self._change(each, inputs, source))
        return outputs

    def _choose(self, parts: Sequence[Part], inputs: Tensor) -> tuple[Source, object]:
        """The source from which the first part costs least (Section 3.3), and its change."""
        names = {each.name for part in parts for each in self.execution.split(part)}
        sources = []
        if names <= self.before.keys():
            sources.append(Source('frame', self.before))
        if self.base is not None:
            sources.append(Source('base', self.base.pairs))
        if not sources:
            return PLAIN, None
        found = [(source, self._change(parts[0], inputs, source)) for source in sources]
        if len(found) == 1:
            return found[0]
        return min(found, key=lambda pair: self.execution.cost(parts[0], pair[1], pair[0]))

    def _change(self, part: Part, inputs: Tensor, source: Source) -> object:
        if source is PLAIN:
            return None
        threshold = self.thresholds[source.kind][part.block]
        return self.execution.change(part, inputs, source, threshold)

    def _update(self, part: Part, inputs: Tensor, source: Source, change: object) -> Tensor:
        plain = source is PLAIN
        done = whole(part, inputs) if plain else self.execution.update(part, inputs, change, source)
        self.passed.pairs[part.name] = done.pair
        products = len(inputs) * part.products
        args = (products, done.executed, done.rows, done.density, done.weight_density)
        self._note(part.name, source.kind, *args)
        return done.pair.outputs

    def _cache(self, parts: Sequence[Part]) -> None:
        """Caches what was computed of half a block, unless all of it is the base's."""
        if not self.caches:
            return
        names = [each.name for part in parts for each in self.execution.split(part)]
        theirs = self.base.pairs if self.base is not None else {}
        pairs = {name: self.passed.pairs[name] for name in names}
        if all(pair is theirs.get(name) for name, pair in pairs.items()):
            return
        for name, pair in pairs.items():
            self.cached[name] = pair.copy() if pair is theirs.get(name) else pair

    def _products(self, attention: RowAttention, rows: Tensor, mask: Tensor | None) -> int:
        if mask is None:
            mask = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
        return attention.products(mask)

    def _note(
        self,
        part: str,
        source: str,
        products: int,
        executed: int,
        rows: int,
        density: float,
        weight_density: float,
    ) -> None:
        self.work.append(
            Work(self.task, part, source, weight_density, density, products, executed, rows)
        )
