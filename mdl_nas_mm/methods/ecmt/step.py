"""The training step of ECMT (Algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mdl_nas_mm.elastic.backbone import of_task
from mdl_nas_mm.elastic.known import family_of, sharing_of
from mdl_nas_mm.engine.distillation import (
    Captured,
    ChannelMeanLoss,
    capture,
    check_teacher,
    teacher_first,
)
from mdl_nas_mm.engine.pass_batch import PassBatch
from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.engine.step import Step
from mdl_nas_mm.registry import STEPS
from mdl_nas_mm.spec import SearchSpace, SubnetSpec
from mdl_nas_mm.utils.amounts import check_at_least


@STEPS.register_module()
class ECMTStep(Step):
    """Every subnet learns from the labels, and all but the largest from its encoder as well.

    The objective is the mean over the subnets of sum_n rho_n L_n, to which the others add
    ``kd_weight`` times Eq. 3: the mean over them of the squared difference of encoder features,
    each averaged over its own channels. The features of the largest are a target, without a
    gradient. Of several feature levels it is the mean; of tasks, whose images may be different
    ones, as well.

    Batch norms keep no statistics: those of different widths have nothing in common.

    Args:
        spaces, freeze_rest, optim_wrapper: see ``Step``.
        kd_weight: lambda; 0 leaves the distillation out.
    """

    keeps_statistics = False

    def __init__(
        self,
        spaces: Mapping[str, SearchSpace],
        freeze_rest: bool = True,
        optim_wrapper: Mapping[str, Any] | None = None,
        kd_weight: float = 1.0,
    ) -> None:
        super().__init__(spaces, freeze_rest, optim_wrapper)
        check_at_least(kd_weight, 0, 'train_cfg.step: kd_weight')
        self.kd_weight, self.compare = kd_weight, ChannelMeanLoss()

    @staticmethod
    def check_config(cfg: Mapping[str, Any]) -> Sequence[str]:
        """See ``check_teacher``; that of a single architecture, a usual baseline, is not said.

        Says what is trained but cannot be controlled afterwards.
        """
        if cfg['train_cfg']['step'].get('kd_weight', 1.0):
            check_teacher(cfg, 'train_cfg.step: ECMTStep')
        model = cfg['model']
        backbone = model['backbone']
        own = {
            'backbone.sharing': sharing_of(backbone).has_specific,
            'parts': bool(model.get('parts')),
        }
        for key, setting in family_of(backbone).task_settings.items():
            values = (of_task(backbone.get(key), task, key) for task in model['tasks'])
            own[f'backbone.{key}'] = any(map(setting.gives_weights, values))
        return [
            f'{key}: mdl-nas control takes no such model' for key, is_own in own.items() if is_own
        ]

    def run(self, passes: Passes, specs: Mapping[str, Sequence[SubnetSpec]]) -> None:
        """As ``Step``; each task's largest subnet comes first."""
        super().run(passes, teacher_first(self.spaces, specs, usual=0))

    def train_batch(
        self,
        passes: Passes,
        batch: PassBatch,
        data: Mapping[str, dict],
        subnets: Sequence[Mapping[str, SubnetSpec]],
    ) -> None:
        """Subnet by subnet; a task's first one teaches."""
        teachers: dict[str, Captured] = {}
        students = len(subnets) - 1
        for each in subnets:
            with passes.shared(each, data):
                for task, spec in each.items():
                    with capture(passes.model, task, spec) as captured:
                        loss, values = passes.forward(task, spec, data[task])
                    if task not in teachers:
                        teachers[task] = captured.detached()
                    elif self.kd_weight:
                        learned = self._learned(captured, teachers[task])
                        # Of the sum over tasks it is a part, whatever the task's own weight is.
                        weight = self.kd_weight / (len(self.spaces) * students)
                        weight /= passes.plan.weights[task] or 1.0
                        loss = passes.checked(task, spec, loss + weight * learned)
                        values = dict(ci_kd=learned / students)
                    else:
                        values = {}
                    passes.log(task, batch, values)
                    passes.backward(task, loss, passes.factor(task, batch) / len(subnets))

    def _learned(self, student: Captured, teacher: Captured) -> Tensor:
        """The squared difference of two encoders' features (Eq. 3)."""
        pairs = list(zip(student.features, teacher.features, strict=True))
        total = self.compare(*pairs[0])
        for pair in pairs[1:]:
            total = total + self.compare(*pair)
        return total / len(pairs)
