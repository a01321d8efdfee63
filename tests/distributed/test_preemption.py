"""Asked to stop, a training saves first; resumed, it ends where the uninterrupted one ends."""

import copy
import os
import subprocess

import pytest
from distributed.processes import Processes
from distributed.trainings import largest_difference, trained, training
from helpers import TASKS, build_runner, differences
from mmengine.hooks import Hook
from refusals import assert_names

from mdl_nas_mm.engine.checkpoint import latest_checkpoint, read_checkpoint

pytestmark = pytest.mark.distributed
STEPS = 7


class Asking(Hook):
    """Sends SIGTERM on one rank, to the process alone or with its data loaders' workers."""

    def __init__(self, rank, iteration, group):
        self.rank, self.iteration, self.group = rank, iteration, group

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.ranks.rank == self.rank and batch_idx == self.iteration:
            target = -os.getpgrp() if self.group else os.getpid()
            # By another process: torch's workers take a signal from their parent as the end.
            subprocess.run(['kill', '-TERM', '--', str(target)], check=True, start_new_session=True)


def train_and_ask(cfg, folder, distributed, *asking):
    os.setpgrp()
    cfg = copy.deepcopy(cfg)
    cfg.launcher = 'pytorch' if distributed else 'none'
    runner = build_runner(cfg, folder)
    runner.register_hook(Asking(*asking))
    runner.train()


def stopped(world_size, cfg, folder, *asking):
    """Trains until asked to stop; returns the iteration of the one checkpoint that is left."""
    number = max(world_size, 1)
    arguments = (cfg, folder, world_size > 0, *asking)
    processes = Processes(number, train_and_ask, *arguments, folder=folder / 'logs')
    assert processes.wait() == [1] * number, processes.texts(range(number))
    iteration = read_checkpoint(latest_checkpoint(folder))['meta']['iter']
    for text in processes.outputs():
        line = [line for line in text.splitlines() if 'SIGTERM' in line][-1]
        assert_names(line, iteration, '--resume')
        assert 'Traceback' not in text
    assert [path.name for path in folder.glob('*.pth')] == [f'iter_{iteration}.pth']
    return iteration


def settings(data):
    cfg = training(data, changes={'train_cfg.max_iters': STEPS, 'backbone.drop_path_rate': 0.1})
    cfg.default_hooks.checkpoint.update(interval=STEPS)
    return cfg


def resumed(cfg):
    cfg = copy.deepcopy(cfg)
    cfg.resume = True
    return cfg


@pytest.mark.parametrize('group', [False, True], ids=['process', 'workers too'])
def test_one_process_goes_on_bit_for_bit(data, tmp_path, group):
    cfg = settings(data)
    whole = trained(0, cfg, tmp_path / 'whole')
    for task in TASKS:
        cfg.tasks[task].train_dataloader.num_workers = int(group)
    assert stopped(0, cfg, tmp_path / 'asked', 0, 2, group) == 3
    end = trained(0, resumed(cfg), tmp_path / 'asked')
    for key in ('state_dict', 'optimizer', 'param_schedulers'):
        assert differences(end[key], whole[key]) == []


def test_all_ranks_stop_when_one_is_asked(data, tmp_path):
    """They agree every few steps; two processes go on."""
    cfg = settings(data)
    for task in TASKS:
        cfg.tasks[task].train_dataloader.num_workers = 1
    assert stopped(3, cfg, tmp_path / 'asked', 1, 2, True) == 5
    end = trained(2, resumed(cfg), tmp_path / 'asked')
    whole = trained(0, cfg, tmp_path / 'whole')
    assert largest_difference(end['state_dict'], whole['state_dict']) < 1e-5
