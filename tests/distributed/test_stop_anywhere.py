"""SIGTERM ends a training wherever it is; resumed, it ends where the uninterrupted one ends."""

import copy
import os
import signal
import time
from functools import partial

import pytest
import torch
from distributed.processes import Processes
from distributed.trainings import largest_difference, trained, training
from helpers import build_runner, differences
from mmpretrain.evaluation import Accuracy
from refusals import assert_names

from mdl_nas_mm.engine import loops, runner
from mdl_nas_mm.engine.checkpoint import latest_checkpoint, read_checkpoint
from mdl_nas_mm.engine.joint_loader import JointLoader
from mdl_nas_mm.search.evaluator import SupernetEvaluator

pytestmark = pytest.mark.distributed
STEPS = 4
_WHOLE = {}


def settings(data, **changes):
    """Four steps with two validations, of averaged weights, whose best checkpoint is kept."""
    steps = {'train_cfg.max_iters': STEPS, 'train_cfg.val_interval': 2}
    cfg = training(data, changes={**steps, 'backbone.drop_path_rate': 0.1, **changes})
    cfg.val_cfg = dict(type='MultiTaskValLoop')
    cfg.custom_hooks = [dict(type='EMAHook', momentum=0.2)]
    cfg.default_hooks.checkpoint.update(interval=STEPS, save_best='s_score')
    return cfg


@pytest.fixture
def whole(data, tmp_path_factory):
    """The end of the uninterrupted training."""
    if not _WHOLE:
        folder = tmp_path_factory.mktemp('whole')
        _WHOLE.update(trained(0, settings(data), folder), best=best_of(folder))
    return _WHOLE


def ask():
    os.kill(os.getpid(), signal.SIGTERM)


def ask_and_wait():
    ask()
    time.sleep(600)


def before(owner, name, call, number):
    """Replaces a function by one that calls something else first, the ``number``-th time."""
    function, count = getattr(owner, name), [0]

    def replaced(*args, **kwargs):
        count[0] += 1
        if count[0] == number:
            call()
        return function(*args, **kwargs)

    setattr(owner, name, replaced)


def batch_that_never_comes(call):
    batches = JointLoader.__iter__

    def some(self):
        for index, batch in enumerate(batches(self)):
            if index == 3:
                call()
            yield batch

    JointLoader.__iter__ = some


# Where a process is asked, and after which step it then stops.
PLACES = {
    'batch that never comes': (lambda: batch_that_never_comes(ask_and_wait), 3),
    'step': (lambda: before(loops, 'train_step', ask, 3), 3),
    'step before a validation': (lambda: before(loops, 'train_step', ask, 2), 2),
    'prediction': (lambda: before(Accuracy, 'process', ask, 1), 2),
    'metric that never ends': (lambda: before(Accuracy, 'compute_metrics', ask_and_wait, 1), 2),
    'best checkpoint': (lambda: before(torch, 'save', ask, 1), 2),
    'last checkpoint': (lambda: before(torch, 'save', ask, 2), 4),
    'last validation': (lambda: before(Accuracy, 'compute_metrics', ask, 2), 4),
}


def train_asked(cfg, folder, distributed, asked, at):
    """Trains; the ranks ``asked`` are asked to stop at a place."""
    cfg = copy.deepcopy(cfg)
    cfg.launcher = 'pytorch' if distributed else 'none'
    runner = build_runner(cfg, folder)
    if runner.ranks.rank in asked:
        at()
    runner.train()


def asked_to_stop(world_size, cfg, folder, asked, at):
    """Exit codes, and what is said last."""
    number = max(world_size, 1)
    arguments = (cfg, folder, world_size > 0, asked, at)
    processes = Processes(number, train_asked, *arguments, folder=folder / 'logs')
    codes = processes.wait()
    return codes, [text.rstrip().rpartition('\n')[2] for text in processes.outputs()]


def resumed(cfg):
    cfg = copy.deepcopy(cfg)
    cfg.resume = True
    return cfg


def best_of(folder):
    (path,) = folder.glob('best_s_score_iter_*.pth')
    return path.name, read_checkpoint(path)['state_dict']


@pytest.mark.parametrize('place', PLACES)
def test_one_process_goes_on_bit_for_bit(data, whole, tmp_path, place):
    """A validation that was not completed is made up for."""
    at, step = PLACES[place]
    codes, said = asked_to_stop(0, settings(data), tmp_path, [0], at)
    assert codes == [1]
    assert_names(*said, 'SIGTERM', step, '--resume')
    assert latest_checkpoint(tmp_path).name == f'iter_{step}.pth'
    end = trained(0, resumed(settings(data)), tmp_path)
    for key in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers'):
        assert differences(end[key], whole[key]) == []
    assert differences(best_of(tmp_path), whole['best']) == []


def ask_all():
    """As `timeout` asks: the process, and its group with all data loaders' workers."""
    ask()
    os.killpg(0, signal.SIGTERM)


def ask_all_in_prediction():
    os.setpgrp()
    before(Accuracy, 'process', ask_all, 1)


def test_workers_of_a_validation_live_as_long_as_it(data, whole, tmp_path):
    cfg = settings(data)
    for task in cfg.tasks.values():
        task.train_dataloader.num_workers = task.val_dataloader.num_workers = 1
    codes, said = asked_to_stop(0, cfg, tmp_path, [0], ask_all_in_prediction)
    assert codes == [1]
    assert_names(*said, 'SIGTERM', 2, '--resume')
    end = trained(0, resumed(settings(data)), tmp_path)
    assert differences(end['state_dict'], whole['state_dict']) == []


def test_before_the_first_step_there_is_nothing_to_save(data, tmp_path):
    at = partial(before, JointLoader, '__iter__', ask, 1)
    codes, said = asked_to_stop(0, settings(data), tmp_path, [0], at)
    assert codes == [1]
    assert_names(*said, 'SIGTERM')
    assert '--resume' not in said[0]
    assert latest_checkpoint(tmp_path) is None


@pytest.mark.parametrize('place', ['prediction', 'metric that never ends'])
def test_ranks_leave_a_validation_together(data, whole, tmp_path, place):
    """Those of other tasks have done theirs, and wait."""
    at, step = PLACES[place]
    codes, said = asked_to_stop(3, settings(data), tmp_path, [0], at)
    assert codes == [1] * 3
    assert_names(*set(said), 'SIGTERM', step, '--resume')
    end = trained(3, resumed(settings(data)), tmp_path)
    assert largest_difference(end['state_dict'], whole['state_dict']) < 1e-5


def test_ranks_of_one_task_leave_a_validation_together(data, tmp_path):
    """The second has given its predictions when the first is asked."""
    cfg = settings(data)
    cfg.tasks = dict(cls=cfg.tasks.cls)
    cfg.groups = dict(cls=2)
    at = partial(before, Accuracy, 'process', ask, 1)
    codes, said = asked_to_stop(2, cfg, tmp_path, [0], at)
    assert codes == [1, 1]
    assert_names(*set(said), 'SIGTERM', 2, '--resume')


def test_a_rank_that_cannot_agree_ends(data, tmp_path):
    """It waits for a batch, and the others for its gradients."""
    cfg = settings(data, **{'train_cfg.stop_timeout': 1.0})
    at = partial(batch_that_never_comes, ask_and_wait)
    codes, said = asked_to_stop(2, cfg, tmp_path, [1], at)
    assert codes == [1, 128 + signal.SIGTERM]
    assert_names(said[1], 'SIGTERM', '1 s')


@pytest.mark.parametrize('place', ['data', 'search'])
def test_elsewhere_it_ends_at_once(data, tmp_path, place):
    """There is nothing to save: a search has every evaluation on disk."""
    cfg = settings(data)
    cfg.custom_hooks = [dict(type='SearchHook')]
    cfg.search_cfg = dict(
        budget='9M',
        evolution=dict(population=2, generations=1, parents=1, crossovers=0, mutations=0),
    )
    owner, name = {
        'data': (runner.MultiTaskRunner, 'load_or_resume'),
        'search': (SupernetEvaluator, '__call__'),
    }[place]
    at = partial(before, owner, name, ask_and_wait, 1)
    codes, _ = asked_to_stop(0, cfg, tmp_path, [0], at)
    assert codes == [-signal.SIGTERM]
