"""A rank is killed: the others end soon, and any number of processes goes on where they were."""

import copy
import os
import random
import signal

import pytest
import torch
from distributed.processes import Processes
from distributed.trainings import largest_difference, trained, training
from helpers import build_runner

from mdl_nas_mm.engine.checkpoint import latest_checkpoint
from mdl_nas_mm.engine.groups import TaskGroups
from mdl_nas_mm.tasks import MultiTaskModel

pytestmark = [pytest.mark.distributed, pytest.mark.slow]
STEPS, WORLD = 6, 3
_WHOLE = {}


def killing(function, calls):
    """The function, which in one of its calls does not come back; a save is half done then."""
    count = [0]

    def call(*args, **kwargs):
        count[0] += 1
        if count[0] == calls:
            if function is torch.save:
                function(*args, **kwargs)
                args[1].truncate(args[1].tell() // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return call


# Where a rank is killed: what it calls then, and how often a training calls that.
PLACES = {
    'loss': (MultiTaskModel, 'loss', STEPS * 2 * 2),
    'save': (torch, 'save', STEPS // 2),
    'gather': (TaskGroups, 'gather', STEPS // 2),
}


def train_and_die(cfg, folder, victim, place, calls):
    cfg = copy.deepcopy(cfg)
    cfg.launcher = 'pytorch'
    if os.environ['RANK'] == str(victim):
        owner, name, _ = PLACES[place]
        setattr(owner, name, killing(getattr(owner, name), calls))
    build_runner(cfg, folder).train()


def settings(data):
    cfg = training(data, changes={'train_cfg.max_iters': STEPS, 'backbone.drop_path_rate': 0.1})
    cfg.default_hooks.checkpoint.update(interval=2)
    return cfg


@pytest.fixture
def whole(data, tmp_path_factory):
    """The end of the uninterrupted training."""
    if not _WHOLE:
        _WHOLE.update(trained(WORLD, settings(data), tmp_path_factory.mktemp('whole')))
    return _WHOLE['state_dict']


KILLS = [('loss', seed) for seed in range(4)]
KILLS += [(place, seed) for place in ('save', 'gather') for seed in range(3)]


@pytest.mark.parametrize(('place', 'seed'), KILLS)
def test_the_others_end_and_the_training_goes_on(data, whole, tmp_path, place, seed):
    rng = random.Random(f'{place} {seed}')
    # The first rank writes the file.
    victim = 0 if place == 'save' else rng.randrange(WORLD)
    calls = rng.randint(1, PLACES[place][2])
    arguments = (settings(data), tmp_path, victim, place, calls)
    processes = Processes(WORLD, train_and_die, *arguments, folder=tmp_path / 'logs')
    processes[victim].join(120)
    codes = processes.wait(timeout=60)
    assert codes == [-signal.SIGKILL if rank == victim else 1 for rank in range(WORLD)]
    if place != 'loss':
        latest = latest_checkpoint(tmp_path)
        assert latest == (tmp_path / f'iter_{2 * calls - 2}.pth' if calls > 1 else None)
    cfg = settings(data)
    cfg.resume = True
    end = trained(rng.choice((0, 2, 4)), cfg, tmp_path)
    assert end['meta']['iter'] == STEPS
    assert largest_difference(end['state_dict'], whole) < 1e-5
