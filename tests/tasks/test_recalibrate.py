"""Statistics of batch norms, estimated for one architecture, by what the norms are given."""

import pytest
import torch
from image_group import joint_config, write_images

from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.tasks import recalibrations, resolve_joint_config, task_scope
from mdl_nas_mm.tasks.recalibrate import norms_of


@pytest.fixture(scope='module')
def problem(tmp_path_factory):
    """A resolved config of batches of two images, and a model with a batch norm in each head."""
    cfg = joint_config(write_images(tmp_path_factory.mktemp('data')))
    for task in cfg.tasks.values():
        task.model.decode_head.norm_cfg = dict(type='BN')
        task.train_dataloader.batch_size = 2
    cfg.recalibrate_images = 5
    cfg = resolve_joint_config(cfg)
    with task_scope('mdl_nas_mm'):
        torch.manual_seed(0)
        model = MODELS.build(cfg.model)
    return cfg, model.eval()


def test_they_are_plain_means_over_batches_of_as_many_images(problem):
    """Five images are three batches of two; with the variance of a sample, as torch has it."""
    cfg, model = problem
    spec = model.backbone.space.smallest()
    (norm,) = norms_of(model.tasks['alone'])
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    given = []
    hook = norm.register_forward_pre_hook(lambda _, args: given.append(args[0].detach()))
    estimate = recalibrations(cfg, model)['alone',]
    with estimate.applied({'alone': model.subnet('alone', spec)}):
        found = {name: value.clone() for name, value in norm.state_dict().items()}
    hook.remove()
    assert [len(x) for x in given] == [2, 2, 2]
    means = torch.stack([x.mean((0, 2, 3)) for x in given]).mean(0)
    variances = torch.stack([x.transpose(0, 1).flatten(1).var(1) for x in given]).mean(0)
    torch.testing.assert_close(found['running_mean'], means, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found['running_var'], variances, rtol=1e-4, atol=1e-6)
    assert not torch.equal(found['running_mean'], before['running_mean'])
    # All of it is as before then, and the norm follows a training as it did.
    for name, value in norm.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert (norm.momentum, norm.training) == (0.1, False)
