"""Which weights a pass cannot give a gradient, so that nobody waits for it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from mdl_nas_mm.spec import SubnetSpec
from mdl_nas_mm.spec.owners import (
    backbone_name,
    in_backbone,
    owners_of,
    read_name,
    score_name,
)
from mdl_nas_mm.tasks import MultiTaskModel


def untouched(model: MultiTaskModel, subnets: Mapping[str, SubnetSpec]) -> set[nn.Parameter]:
    """The parameters of layers that a pass's subnet does not have, and of other tasks alone.

    Of a layer that is used in part, or whose share ratio leaves nothing shared, all parameters
    may get a gradient, perhaps of zeros.

    Args:
        model: the multi-task model.
        subnets: a task -> its subnet; or the tasks that share a pass of the backbone, whose heads
            have their gradients before that.
    """
    (task, spec), *others = subnets.items()
    known, used = _names(model, model.supernet.layout.space.largest()), _names(model, spec)
    return {
        parameter
        for name, parameter in model.named_parameters()
        if task not in owners_of(name)
        or read_name(name).plain in known - used
        or (others and not in_backbone(name))
    }


def _names(model: MultiTaskModel, spec: SubnetSpec) -> set[str]:
    uses = model.supernet.layout.uses(spec)
    names = [name for use in uses for name in (use.name, score_name(use.layer))]
    return set(map(backbone_name, names))
