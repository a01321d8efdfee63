"""What a step of three ranks leaves as it is: what no subnet used, and what other tasks own."""

import copy

import pytest
import torch
from distributed.trainings import optimizer_tensors, trained, training
from helpers import TASKS, build_model

from mdl_nas_mm.engine.freeze import partial_masks
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.spec.owners import ALL, Owners, owners_of
from mdl_nas_mm.tasks import choose_joint_spec

pytestmark = pytest.mark.distributed
MOMENTS = ('exp_avg', 'exp_avg_sq')


@pytest.mark.parametrize('sharing', ['Sequential', pytest.param('Mask', marks=pytest.mark.slow)])
def test_what_no_ranks_subnet_used_keeps_value_and_moments(data, tmp_path, sharing):
    """Two steps of everything, then two of one small architecture a task."""
    cfg = training(data, sharing, 'AdamW', changes={'train_cfg.max_iters': 2})
    cfg.default_hooks.checkpoint.update(interval=2)
    before = trained(3, cfg, tmp_path)
    model, part = build_model(cfg), copy.deepcopy(cfg)
    space = model.backbone.space
    smallest = [space.smallest(share) for share in (0, -1, 0)]
    choose_joint_spec(part, JointSpec(dict(zip(TASKS, smallest))).to_dict())
    part.train_cfg.max_iters = 4
    part.resume = True
    after = trained(3, part, tmp_path)

    masks = partial_masks(model.backbone, zip(TASKS, smallest))
    moments = [optimizer_tensors(whole) for whole in (before, after)]
    changed, kept = 0, 0
    for name, parameter in model.named_parameters():
        # The smallest ones end after one block.
        used = not name.startswith('backbone.blocks.1.')
        mask = masks.get(parameter, torch.full(parameter.shape, used))
        values = [whole['state_dict'][name] for whole in (before, after)]
        pairs = [values] + [[m[f'{name}.{key}'] for m in moments] for key in MOMENTS]
        for old, new in pairs:
            assert torch.equal(old[~mask], new[~mask]), name
        kept += int((~mask).sum())
        changed += int((values[0] != values[1])[mask].sum())
        assert used or not mask.any()
    assert kept > 1000 and changed > 1000


def test_a_tasks_own_weights_do_not_see_other_tasks(data, tmp_path):
    """One step with twice the loss of detection: only its own and shared weights go elsewhere."""
    cfg = training(data, changes={'train_cfg.max_iters': 1})
    # The norm of all gradients together is the one thing that tasks have in common.
    cfg.optim_wrapper.pop('clip_grad')
    cfg.default_hooks.checkpoint.update(interval=1)
    once = trained(3, cfg, tmp_path / 'once')['state_dict']
    cfg.tasks.det.loss_weight = 2.0
    twice = trained(3, cfg, tmp_path / 'twice')['state_dict']
    different = {owners_of(key) for key in once if not torch.equal(once[key], twice[key])}
    assert different == {Owners.of('det'), ALL}
    assert {owners_of(key) for key in once} == {*map(Owners.of, TASKS), ALL}
