"""Any number of processes takes the steps that one process takes."""

import copy

import pytest
import torch
from distributed.processes import run_processes
from helpers import POLICIES, build_runner, joint_config

from mdl_nas_mm.engine.checkpoint import latest_checkpoint, read_checkpoint

pytestmark = pytest.mark.distributed
STEPS = 5


def training(data, sharing='Sequential', optimizer='SGD', units=None, changes=None):
    """Five steps; each task's batch is made of two units that are never cut."""
    cfg = joint_config(data, sharing, {'train_cfg.max_iters': STEPS, **(changes or {})})
    cfg.val_cfg = None
    # Adam makes much of differences of rounding where gradients are near zero.
    settings = dict(SGD=dict(lr=0.02, momentum=0.9), AdamW=dict(lr=1e-3, eps=1e-4))
    cfg.optim_wrapper.optimizer = dict(type=optimizer, weight_decay=0.05, **settings[optimizer])
    cfg.groups = units or dict(cls=2, det=2, seg=2)
    cfg.default_hooks.checkpoint.update(interval=STEPS)
    return cfg


def train(cfg, folder, distributed=True):
    cfg = copy.deepcopy(cfg)
    cfg.launcher = 'pytorch' if distributed else 'none'
    build_runner(cfg, folder).train()


def trained(world_size, cfg, folder):
    """The whole checkpoint that ``world_size`` processes leave; 0 means no launcher."""
    if world_size:
        run_processes(world_size, train, cfg, folder, folder=folder / 'logs')
    else:
        run_processes(1, train, cfg, folder, False, folder=folder / 'logs')
    return read_checkpoint(latest_checkpoint(folder))


def largest_difference(first, second):
    assert first.keys() == second.keys()
    return max(
        float((first[key].double() - second[key].double()).abs().max())
        for key in first
        # Each process has running statistics of its own part; none are in these models.
        if first[key].is_floating_point()
    )


@pytest.mark.parametrize('optimizer', ['SGD', 'AdamW'])
def test_three_processes_are_one(data, tmp_path, optimizer):
    cfg = training(data, optimizer=optimizer)
    one = trained(0, cfg, tmp_path / 'one')
    three = trained(3, cfg, tmp_path / 'three')
    assert largest_difference(one['state_dict'], three['state_dict']) < 1e-5
    assert one['optimizer']['settings'].keys() == three['optimizer']['settings'].keys()
    states = [
        {f'{name}.{key}': value for name, s in whole['optimizer']['state'].items()
         for key, value in s.items() if torch.is_tensor(value)}
        for whole in (one, three)
    ]  # fmt: skip
    assert largest_difference(*states) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize('sharing', POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize('units', [None, dict(cls=3, det=1, seg=2)], ids=['equal', 'unequal'])
def test_any_number_of_processes_is_one(data, tmp_path, sharing, units):
    cfg = training(data, sharing, units=units, changes={'train_cfg.num_random': 1})
    one = trained(0, cfg, tmp_path / 'one')['state_dict']
    for world_size in (2, 3, 4, 6):
        many = trained(world_size, cfg, tmp_path / str(world_size))['state_dict']
        assert largest_difference(one, many) < 1e-5, world_size


@pytest.mark.slow
def test_a_checkpoint_of_any_dealing_goes_on_in_any_other(data, tmp_path):
    """3 ranks -> 1 process -> 6 ranks, two steps each, against six in one process."""
    cfg = training(data, changes={'train_cfg.max_iters': 6})
    cfg.default_hooks.checkpoint.update(interval=2)
    one = trained(0, cfg, tmp_path / 'one')['state_dict']
    folder = tmp_path / 'passed_on'
    for end, world_size in ((2, 3), (4, 0), (6, 6)):
        part = copy.deepcopy(cfg)
        part.train_cfg.max_iters = end
        part.resume = end > 2
        whole = trained(world_size, part, folder)
        assert whole['meta']['iter'] == end
    assert largest_difference(one, whole['state_dict']) < 1e-5
