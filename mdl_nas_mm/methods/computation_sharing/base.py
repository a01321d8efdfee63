"""A base that sub-tasks can differ from: one task that owns the weights of its blocks."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import ConfigDict

from mdl_nas_mm.deposit import Deposit, pack
from mdl_nas_mm.elastic.known import family_of
from mdl_nas_mm.elastic.plain import plain_config
from mdl_nas_mm.spec import Counts, JointSpec
from mdl_nas_mm.spec.owners import specific_name
from mdl_nas_mm.tasks import MultiTaskModel, task_scope

# Norms are the base's; a base that has these specific as well lets sub-tasks train them.
SHARING = dict(attn='AllSpecific', ffn='AllSpecific')
_KEPT = ('scope', 'model', 'score', 'scored', 'metainfo', 'val_dataloader', 'val_evaluator')


def owns_its_blocks(deposit: Deposit, task: str) -> bool:
    """Whether the task has weights of its own in attention and feed-forward layers."""
    policies = deposit.sharing.policies
    return all(policies[role].has_specific for role in SHARING if role in policies) and (
        not deposit.specific_kinds[task].bases
    )


@torch.no_grad()
def write_base(deposit: Deposit, task: str, path: str | Path, norms: bool = False) -> Counts:
    """Writes one task of a deposit as a deposit of its own, whose blocks it owns.

    Args:
        deposit: any, whatever its tasks share.
        task: the base task; answers as before.
        path: the file to write.
        norms: whether it owns its norms as well, so that sub-tasks may train theirs.

    Raises:
        ValueError: there is no such task, or its backbone has no transformer blocks.
    """
    spec, info = deposit.joint[task], deposit.tasks[task]
    family = family_of(deposit.manifest['backbone'])
    if not {*SHARING} <= {*family.dimensions.roles}:
        raise ValueError(
            f'deposit {deposit.path}: the {family.name} of {task!r} has no layers of all roles '
            f'that computation sharing takes, {sorted(SHARING)}'
        )
    settings = deposit.batch_of(task)['settings']
    shape = deposit.structure.layout.shape
    backbone = plain_config(deposit.manifest['backbone'], settings, spec, family, shape)
    sharing = 'AllSpecific' if norms else SHARING
    backbone.update(sharing=sharing, tasks=(task,))
    kept = {key: info[key] for key in _KEPT if key in info}
    with task_scope('mdl_nas_mm'):
        model = MultiTaskModel(ConfigDict(backbone), {task: ConfigDict(kept)})
    parameters = dict(model.backbone.named_parameters())
    for name, weight in deposit.backbone_weights(task).items():
        own = parameters.get(specific_name(name, task), parameters.get(name))
        assert own is not None, name
        own.copy_(weight.view(own.shape))
    whole = deposit.load_task(task)
    model.tasks[task].load_state_dict(
        {k: v for k, v in whole.state_dict().items() if not k.startswith('backbone.')},
        strict=False,
    )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return pack(path, model, JointSpec({task: spec}), backbone, {task: kept}, trust=deposit.trust)
