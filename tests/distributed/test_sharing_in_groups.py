"""A sub-task's stages: three processes draw the same gates and take the steps that one takes."""

import pytest
import torch
from distributed.trainings import largest_difference, trained
from methods.computation_sharing.sub_tasks import base_deposit, fixed, gated, sub_task

from mdl_nas_mm.methods.computation_sharing import fix_places, load_difference, save_difference

pytestmark = pytest.mark.distributed
SGD = dict(optimizer=dict(type='SGD', lr=1.0, momentum=0.9))


def in_processes(cfg):
    cfg.train_cfg.step.optim_wrapper = SGD
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.02, momentum=0.9)
    # Three parts of batches: processes have one each.
    cfg.groups = dict(more=3)
    cfg.default_hooks.checkpoint.update(interval=4)
    return cfg


def test_three_processes_are_one(data, tmp_path):
    base = base_deposit(data, tmp_path / 'base')
    cfg = in_processes(sub_task(data, base, gated(lambda_w=1e-3)))
    one, three = (trained(n, cfg, tmp_path / f'gates_{n}') for n in (0, 3))
    assert largest_difference(one['state_dict'], three['state_dict']) < 1e-5
    steps = one['method']['step'], three['method']['step']
    assert largest_difference(*steps) < 1e-5
    assert any((v - 5).abs().max() > 1e-4 for n, v in steps[0].items() if n.startswith('gates.'))

    path = tmp_path / 'difference.safetensors'
    save_difference(path, fix_places(steps[0], 0.3))
    step = fixed(path, activations=dict(coefficient=1e-4))
    cfg = in_processes(sub_task(data, base, step))
    one, three = (trained(n, cfg, tmp_path / f'fixed_{n}') for n in (0, 3))
    assert largest_difference(one['state_dict'], three['state_dict']) < 1e-5
    assert largest_difference(one['method']['step'], three['method']['step']) < 1e-5
    for name, each in load_difference(path).weights.items():
        if not each.is_zero:
            key = f'places/{name.replace(".", "/")}'
            assert torch.equal(three['method']['step'][key], each.indices)
