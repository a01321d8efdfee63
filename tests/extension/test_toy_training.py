"""A family and a method of a user's own: killed and resumed, in any number of processes."""

import copy

import pytest
import torch
from distributed.trainings import largest_difference
from distributed.trainings import trained as trained_in_processes
from extension.toy import toy_config
from helpers import build_runner, differences
from mmengine.hooks import Hook

from mdl_nas_mm.engine.checkpoint import read_checkpoint

KEYS = ('state_dict', 'optimizer', 'param_schedulers', 'method')
# Adam makes much of differences of rounding where gradients are near zero.
ROUNDED = {
    'optim_wrapper.optimizer': dict(type='SGD', lr=0.02, momentum=0.9),
    'train_cfg.step.optim_wrapper': dict(
        optimizer=dict(type='Adam', lr=0.05, eps=1e-2), clip_grad=dict(max_norm=1e-3)
    ),
    'groups': dict(cls=2, seg=1),
}


class Killed(BaseException):
    pass


class KillHook(Hook):
    """Ends a training before its fourth step."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 3:
            raise Killed


def test_killed_and_resumed_it_ends_like_the_uninterrupted(data, trained, tmp_path):
    runner = build_runner(toy_config(data, tmp_path), tmp_path)
    runner.register_hook(KillHook())
    with pytest.raises(Killed):
        runner.train()
    build_runner(toy_config(data, tmp_path, {'resume': True}), tmp_path).train()
    first, second = (read_checkpoint(folder / 'iter_4.pth') for folder in (trained, tmp_path))
    assert {'sampler', 'step', 'optimizer'} == set(first['method'])
    for key in KEYS:
        assert differences(first[key], second[key]) == [], key


def test_the_method_learns_and_its_loss_is_logged(data, trained):
    method = read_checkpoint(trained / 'iter_4.pth')['method']
    before = build_runner(toy_config(data, trained / 'new'), trained / 'new').train_loop.step.logits
    assert (method['step']['logits'] - before).abs().min() > 1e-3
    assert method['step']['steps'] == 4
    assert all(value > 0 for value in method['sampler']['sums'].values())
    (log,) = trained.glob('*/vis_data/scalars.json')
    assert '"seg/learned"' in log.read_text()


@pytest.mark.distributed
def test_three_processes_are_one_and_go_on_as_two(data, tmp_path):
    cfg = toy_config(data, tmp_path, ROUNDED)
    one = trained_in_processes(0, cfg, tmp_path / 'one')
    half = copy.deepcopy(cfg)
    half.train_cfg.max_iters = 2
    trained_in_processes(3, half, tmp_path / 'passed_on')
    cfg.resume = True
    many = trained_in_processes(2, cfg, tmp_path / 'passed_on')
    assert many['meta']['iter'] == 4
    assert largest_difference(one['state_dict'], many['state_dict']) < 1e-5
    assert largest_difference(_flat(one['method']), _flat(many['method'])) < 1e-5


def _flat(method):
    """The tensors and numbers of a method's state."""
    moments = {
        k: v for k, v in method['optimizer']['state']['logits'].items() if torch.is_tensor(v)
    }
    sums = {task: torch.tensor(value) for task, value in method['sampler']['sums'].items()}
    return {'logits': method['step']['logits'], **moments, **sums}
