"""The joint step of MDL-NAS (supplement, C)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mdl_nas_mm.engine.passes import Passes
from mdl_nas_mm.engine.step import Step
from mdl_nas_mm.registry import STEPS
from mdl_nas_mm.spec import SubnetSpec


@STEPS.register_module()
class JointStep(Step):
    """Every task's subnets on the same batch, each on the labels alone; their mean gradient.

    Logged are the losses of each task's last subnet.

    Args:
        freeze_rest: keep weights and optimizer states that no subnet of a step used.
    """

    def run(self, passes: Passes, specs: Mapping[str, Sequence[SubnetSpec]]) -> None:
        """Task by task, batch by batch, subnet by subnet."""
        passes.announce((task, spec) for task, *_ in passes.batches() for spec in specs[task])
        for task, part, batch in passes.batches():
            factor = passes.factor(task, part) / len(specs[task])
            with passes.prepared(task, part, batch) as data:
                for spec in specs[task]:
                    loss, values = passes.forward(task, spec, data)
                    passes.backward(loss * factor)
            passes.log(task, part, values)
