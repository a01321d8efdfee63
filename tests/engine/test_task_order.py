"""Numbers do not depend on the order in which a config names its tasks."""

import pytest
import torch
from helpers import TASKS, build_runner, write_config
from mmengine.hooks import Hook
from refusals import raises_naming
from shared_pyramid import with_shared_pyramid

from mdl_nas_mm.engine.checkpoint import check_resumable
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.utils.config_file import read_config


class Start(Hook):
    """Remembers the weights before the first step."""

    def before_train(self, runner):
        self.state = {key: value.clone() for key, value in runner.model.state_dict().items()}


def config(data, names):
    """Of tasks that own weights, share a pyramid, and have their losses weighted by their place."""
    step = dict(type='JointStep', balance=dict(type='UncertaintyWeighting'))
    step['optim_wrapper'] = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
    cfg = with_shared_pyramid(data, {'train_cfg.max_iters': 2, 'train_cfg.step': step})
    cfg.val_cfg = None
    cfg.tasks = {name: cfg.tasks[name] for name in names}
    return cfg


def trained(cfg, folder):
    """The weights at the beginning, and after two steps, with the learned weights of losses."""
    start, runner = Start(), build_runner(cfg, folder)
    runner.register_hook(start)
    runner.train()
    assert list(runner.model.tasks) == sorted(TASKS)
    step = runner.train_loop.step.state_dict()
    return start.state, runner.model.state_dict() | {f'step.{k}': v for k, v in step.items()}


@pytest.fixture(scope='module')
def expected(data, tmp_path_factory):
    return trained(config(data, TASKS), tmp_path_factory.mktemp('expected'))


@pytest.mark.parametrize('how', ['in another order', 'dumped', 'dumped when it was resolved'])
def test_the_same_weights_whatever_the_order(data, expected, tmp_path, how):
    cfg = config(data, ('seg', 'cls', 'det'))
    if how == 'dumped':
        cfg = read_config(write_config(cfg, tmp_path / 'joint.py'))
        assert list(cfg.tasks) == ['cls', 'det', 'seg']
    elif how == 'dumped when it was resolved':
        resolve_joint_config(cfg).dump(tmp_path / 'resolved.py')
        cfg = read_config(tmp_path / 'resolved.py')
    for ours, theirs in zip(trained(cfg, tmp_path), expected, strict=True):
        assert ours.keys() == theirs.keys()
        assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []
    start, end = expected
    assert any(not torch.equal(start[key], end[key]) for key in start)


def test_what_a_step_has_learned_of_tasks_in_another_order_is_refused():
    checkpoint = dict(meta=dict(joint=dict(tasks=['seg', 'det'])), optimizer={}, message_hub={})
    check_resumable('a.pth', checkpoint, 0, ('det', 'seg'))
    checkpoint['method'] = dict(step={})
    with raises_naming(ValueError, 'a.pth', 'train_cfg.step', "['seg', 'det']"):
        check_resumable('a.pth', checkpoint, 0, ('det', 'seg'))
