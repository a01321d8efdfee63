"""A task out of a deposit goes on learning with the tools of its library."""

import importlib
import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from extracting import NARROW, vit_config, write_deposit
from helpers import ROOT, TASKS, call_tool, joint_config, only, refusal_of_tool, write_config
from mmengine.config import Config
from refusals import assert_names, raises_naming

from mdl_nas_mm.tasks import own_training

LIBRARIES = dict(cls='mmpretrain', det='mmdet', seg='mmseg')
STEPS = 2


@pytest.fixture(scope='module')
def deposit(data, tmp_path_factory):
    path = tmp_path_factory.mktemp('deposit') / 'a.safetensors'
    return write_deposit(path, vit_config(data), dict.fromkeys(TASKS, NARROW))


@pytest.fixture(scope='module')
def joint(data, tmp_path_factory):
    return write_config(joint_config(data), tmp_path_factory.mktemp('joint') / 'joint.py')


@pytest.mark.parametrize('task', TASKS)
def test_upstreams_tool_trains_it(task, deposit, joint, tmp_path, monkeypatch):
    """From the weights of the deposit, with data, optimizer and schedule of its own config."""
    out = tmp_path / 'out'
    given = (deposit, '--task', task, '--out', out, '--training', joint)
    call_tool(monkeypatch, 'deposit', 'extract', *given)
    cfg = Config.fromfile(out / f'{task}_config.py')
    own = Config.fromfile(ROOT / 'configs' / 'demo' / 'tasks' / f'{task}.py')
    for key in ('train_cfg', 'optim_wrapper', 'param_scheduler', 'val_cfg'):
        assert cfg[key] == own[key], key
    assert cfg.train_dataloader.batch_size == 2 and cfg.val_dataloader == cfg.test_dataloader
    library = importlib.import_module(LIBRARIES[task])
    tool = Path(library.__file__).parent / '.mim' / 'tools' / 'train.py'
    options = [f'train_cfg.max_iters={STEPS}', f'train_cfg.val_interval={STEPS}']
    options += [f'default_hooks.checkpoint.interval={STEPS}', 'default_hooks.logger.interval=1']
    options += ['param_scheduler.0.end=1', 'param_scheduler.1.begin=1', 'param_scheduler.1.T_max=1']
    options += [f'experiment_name=fine_{task}', f'visualizer.name=fine_{task}']
    args = [tool, out / f'{task}_config.py', '--work-dir', tmp_path / 'work']
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.setattr(sys, 'argv', list(map(str, [*args, '--cfg-options', *options])))
    runpy.run_path(str(tool), run_name='__main__')
    before = torch.load(out / f'{task}.pth', weights_only=False)['state_dict']
    trained = torch.load(tmp_path / 'work' / f'iter_{STEPS}.pth', weights_only=False)
    after = trained['state_dict']
    assert trained['meta']['iter'] == STEPS and after.keys() == before.keys()
    # The warm-up begins with a hundredth of the rate: near the deposit, and no longer there.
    change = [(after[k] - before[k]).abs().max().item() for k in before if before[k].numel() > 1]
    assert 0 < max(change) < 0.01
    (log,) = (tmp_path / 'work').glob('*/vis_data/scalars.json')
    losses = [
        line['loss'] for line in map(json.loads, log.read_text().splitlines()) if 'loss' in line
    ]
    assert len(losses) == STEPS


def test_what_cannot_say_how_a_task_is_trained(data, deposit, joint, tmp_path, monkeypatch):
    given = (deposit, '--task', 'cls', '--out', tmp_path / 'out', '--training')
    other = write_config(only(joint_config(data), 'det'), tmp_path / 'other.py')
    said = refusal_of_tool(monkeypatch, 'deposit', 'extract', *given, other)
    assert_names(said, other, "'cls'", "['det']")
    (tmp_path / 'inline.py').write_text("tasks = dict(cls=dict(scope='mmpretrain'))\n")
    with raises_naming(ValueError, 'inline.py', "'cls'", "'config'"):
        own_training(tmp_path / 'inline.py', 'cls')
    assert not (tmp_path / 'out').exists()
