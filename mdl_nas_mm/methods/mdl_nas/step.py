"""The joint step of MDL-NAS (supplement, C)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mdl_nas_mm.engine.distillation import Distillation, capture
from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.engine.plan import BatchPart
from mdl_nas_mm.engine.step import Step
from mdl_nas_mm.registry import STEPS
from mdl_nas_mm.spec import SearchSpace, SubnetSpec


@STEPS.register_module()
class JointStep(Step):
    """Every task's subnets on the same batch, each on the labels alone; their mean gradient.

    Logged are the losses of each task's last subnet, of a sandwich the largest.

    Args:
        spaces, freeze_rest, optim_wrapper: see ``Step``.
        distill: arguments of ``Distillation``. Then a task's last subnet runs first, and the
            others learn from it as well. The paper has nothing of the kind.
    """

    def __init__(
        self,
        spaces: Mapping[str, SearchSpace],
        freeze_rest: bool = True,
        optim_wrapper: Mapping[str, Any] | None = None,
        distill: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(spaces, freeze_rest, optim_wrapper)
        self.distillation = None if distill is None else Distillation(**distill)

    def run(self, passes: Passes, specs: Mapping[str, Sequence[SubnetSpec]]) -> None:
        """Task by task, batch by batch, subnet by subnet."""
        orders = {task: self._order(group) for task, group in specs.items()}
        passes.announce((task, spec) for task, *_ in passes.batches() for spec in orders[task])
        train = self._train if self.distillation is None else self._distil
        for task, part, batch in passes.batches():
            with passes.prepared(task, part, batch) as data:
                train(passes, task, part, data, orders[task])

    def _order(self, specs: Sequence[SubnetSpec]) -> list[SubnetSpec]:
        return list(specs) if self.distillation is None else [specs[-1], *specs[:-1]]

    def _train(
        self, passes: Passes, task: str, part: BatchPart, data: dict, specs: Sequence[SubnetSpec]
    ) -> None:
        factor = passes.factor(task, part) / len(specs)
        values: dict[str, Tensor] = {}
        for spec in specs:
            loss, values = passes.forward(task, spec, data)
            passes.backward(loss * factor)
        passes.log(task, part, values)

    def _distil(
        self, passes: Passes, task: str, part: BatchPart, data: dict, specs: Sequence[SubnetSpec]
    ) -> None:
        distillation = self.distillation
        assert distillation is not None
        factor, teacher = passes.factor(task, part) / len(specs), None
        for spec in specs:
            with capture(passes.model, task, spec) as captured:
                loss, values = passes.forward(task, spec, data)
            if teacher is None:
                teacher = captured.detached()
            else:
                learned = distillation(task, captured, teacher)
                loss = passes.checked(task, spec, loss + sum(learned.values()))
                values = {name: value / (len(specs) - 1) for name, value in learned.items()}
            passes.log(task, part, values)
            passes.backward(loss * factor)
