"""A method's own parameters and what it observes: the same in any number of processes."""

import copy

import engine.toy_method  # noqa: F401
import pytest
import torch
from distributed.trainings import largest_difference, trained, training

pytestmark = pytest.mark.distributed
TOY = {
    'train_cfg.sampler': dict(type='CuriousSampler'),
    'train_cfg.step': dict(
        type='WeighedStep',
        # Far below the norm that comes, so that it is clipped.
        optim_wrapper=dict(
            optimizer=dict(type='Adam', lr=0.05, eps=1e-2), clip_grad=dict(max_norm=1e-3)
        ),
    ),
    'train_cfg.max_iters': 4,
    'default_hooks.checkpoint.interval': 2,
}


def flat(method):
    """The tensors and numbers of a method's state."""
    optimizer = method['optimizer']['state']['logits']
    sums = {task: torch.tensor(value) for task, value in method['sampler']['sums'].items()}
    moments = {key: value for key, value in optimizer.items() if torch.is_tensor(value)}
    return {'logits': method['step']['logits'], **moments, **sums}


def test_three_processes_are_one_and_go_on_as_two(data, tmp_path):
    cfg = training(data, changes=TOY)
    one = trained(0, cfg, tmp_path / 'one')
    half = copy.deepcopy(cfg)
    half.train_cfg.max_iters = 2
    trained(3, half, tmp_path / 'passed_on')
    cfg.resume = True
    many = trained(2, cfg, tmp_path / 'passed_on')
    assert many['meta']['iter'] == 4
    assert largest_difference(one['state_dict'], many['state_dict']) < 1e-5
    assert largest_difference(flat(one['method']), flat(many['method'])) < 1e-5
