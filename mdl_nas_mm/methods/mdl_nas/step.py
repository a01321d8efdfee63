"""The joint step of MDL-NAS (supplement, C)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mdl_nas_mm.engine.distillation import (
    Captured,
    Distillation,
    capture,
    check_teacher,
    teacher_first,
)
from mdl_nas_mm.engine.pass_batch import PassBatch
from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.engine.step import Step
from mdl_nas_mm.registry import STEPS
from mdl_nas_mm.spec import SearchSpace, SubnetSpec
from mdl_nas_mm.utils.arguments import check_arguments
from mdl_nas_mm.utils.task_names import check_tasks


@STEPS.register_module()
class JointStep(Step):
    """Every task's subnets on the same batch, each on the labels alone; their mean gradient.

    Logged are the losses of each task's last subnet, of a sandwich the largest.

    Args:
        spaces, freeze_rest, optim_wrapper: see ``Step``.
        distill: ``dict(features=..., logits=..., tasks=...)``, configs of losses of both, and which
            tasks, by default all; see ``Distillation``. Then a task's largest subnet, or without
            that its last one, runs first, and the others learn from it as well. The paper has
            nothing of the kind.
    """

    def __init__(
        self,
        spaces: Mapping[str, SearchSpace],
        freeze_rest: bool = True,
        optim_wrapper: Mapping[str, Any] | None = None,
        distill: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(spaces, freeze_rest, optim_wrapper)
        self.distillation: Distillation | None = None
        if distill is not None:
            check_arguments('train_cfg.step: distill', distill, Distillation)
            self.distillation = Distillation(**distill)
            check_tasks('train_cfg.step: distill.tasks', self.distillation.tasks or (), spaces)

    @staticmethod
    def check_config(cfg: Mapping[str, Any]) -> Sequence[str]:
        """Where it distils, see ``check_teacher``."""
        if cfg['train_cfg']['step'].get('distill') is None:
            return ()
        return check_teacher(cfg, 'train_cfg.step.distill')

    def run(self, passes: Passes, specs: Mapping[str, Sequence[SubnetSpec]]) -> None:
        """As ``Step``; where it distils, each task's largest subnet comes first."""
        if self.distillation is not None:
            specs = teacher_first(self.spaces, specs, usual=-1)
        super().run(passes, specs)

    def train_batch(
        self,
        passes: Passes,
        batch: PassBatch,
        data: Mapping[str, dict],
        subnets: Sequence[Mapping[str, SubnetSpec]],
    ) -> None:
        """Subnet by subnet, task by task."""
        if self.distillation is not None:
            self._distil(self.distillation, passes, batch, data, subnets)
            return
        values: dict[str, Mapping[str, Tensor]] = {}
        for each in subnets:
            with passes.shared(each, data):
                for task, spec in each.items():
                    factor = passes.factor(task, batch) / len(subnets)
                    loss, values[task] = passes.forward(task, spec, data[task])
                    passes.backward(task, loss, factor)
        for task in batch.tasks:
            passes.log(task, batch, values[task])

    def _distil(
        self,
        distillation: Distillation,
        passes: Passes,
        batch: PassBatch,
        data: Mapping[str, dict],
        subnets: Sequence[Mapping[str, SubnetSpec]],
    ) -> None:
        teachers: dict[str, Captured] = {}
        for each in subnets:
            with passes.shared(each, data):
                for task, spec in each.items():
                    factor = passes.factor(task, batch) / len(subnets)
                    with capture(passes.model, task, spec) as captured:
                        loss, values = passes.forward(task, spec, data[task])
                    if task not in teachers:
                        teachers[task] = captured.detached()
                    else:
                        learned = distillation(task, captured, teachers[task])
                        loss = passes.checked(task, spec, loss + sum(learned.values()))
                        students = len(subnets) - 1
                        values = {name: value / students for name, value in learned.items()}
                    passes.log(task, batch, values)
                    passes.backward(task, loss, factor)
