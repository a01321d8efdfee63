"""Killed at any point and resumed, training ends where the uninterrupted run ends, bit for bit."""

import copy
import os
import signal

import pytest
import torch
from helpers import (
    ROOT,
    TASKS,
    build_runner,
    call_tool,
    differences,
    joint_config,
    run_python,
    run_tool,
    write_config,
)
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from refusals import assert_names, raises_naming

from mdl_nas_mm.engine import checkpoint, loops, step
from mdl_nas_mm.engine.checkpoint import latest_checkpoint, resume_from
from mdl_nas_mm.engine.state import load_optimizer_state, optimizer_state
from mdl_nas_mm.tasks import MultiTaskModel
from mdl_nas_mm.tasks import data as task_data

ITERATIONS = 6


class Killed(BaseException):
    """Stands for a kill: nothing may catch it."""


def training(data, sharing='Sequential', changes=None):
    """Six iterations that draw at random: order, mixup, dropout, stochastic depth, boxes."""
    cfg = joint_config(data, sharing, {'backbone.drop_path_rate': 0.2, **(changes or {})})
    cfg.val_cfg = None
    cfg.train_cfg.max_iters = ITERATIONS
    # Its random numbers are numpy's, drawn while the batch is prepared.
    cfg.tasks.cls.model.train_cfg = dict(augments=dict(type='Mixup', alpha=0.8))
    cfg.tasks.cls.model.head.loss = dict(type='CrossEntropyLoss', use_soft=True)
    cfg.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=2)
    return cfg


def run(cfg, folder):
    """Runs or goes on; returns the runner."""
    cfg = copy.deepcopy(cfg)
    cfg.work_dir = str(folder)
    resume_from(cfg, 'auto')
    runner = build_runner(cfg, folder)
    runner.train()
    return runner


def final_state(folder):
    checkpoint = torch.load(latest_checkpoint(folder), weights_only=False)
    assert checkpoint['meta']['iter'] == ITERATIONS
    return {key: checkpoint[key] for key in ('state_dict', 'optimizer', 'param_schedulers')}


def kill_in(monkeypatch, name, iteration):
    """Raises in the middle of an iteration: in a loss, in the optimizer, or in a save."""

    now, calls = [0], []

    def counting(method, passes, specs):
        now[0] = passes.iteration
        return original(method, passes, specs)

    original = step.train_step
    monkeypatch.setattr(loops, 'train_step', counting)

    def killing(wrapped, count):
        def function(*args, **kwargs):
            if now[0] == iteration:
                calls.append(name)
                if len(calls) == count:
                    raise Killed
            return wrapped(*args, **kwargs)

        return function

    if name == 'loss':
        monkeypatch.setattr(MultiTaskModel, 'loss', killing(MultiTaskModel.loss, 5))
    elif name == 'step':
        monkeypatch.setattr(step, 'partial_masks', killing(step.partial_masks, 1))
    else:
        monkeypatch.setattr(torch, 'save', killing(torch.save, 1))


@pytest.fixture(scope='module')
def uninterrupted(data, tmp_path_factory, quick_mmengine):
    folder = tmp_path_factory.mktemp('whole')
    run(training(data), folder)
    return final_state(folder)


@pytest.mark.parametrize(
    ('where', 'iteration'),
    [('loss', 0), ('loss', 3), ('step', 4), ('save', 1), ('save', 3), ('save', 5)],
)
def test_resumed_training_ends_like_the_uninterrupted(
    data, uninterrupted, tmp_path, where, iteration
):
    with pytest.MonkeyPatch.context() as patch:
        kill_in(patch, where, iteration)
        with pytest.raises(Killed):
            run(training(data), tmp_path)
    done = 2 * (iteration // 2)
    latest = latest_checkpoint(tmp_path)
    assert latest == (tmp_path / f'iter_{done}.pth' if done else None)
    run(training(data), tmp_path)
    assert differences(final_state(tmp_path), uninterrupted) == []
    assert not list(tmp_path.glob('.*'))


def test_note_of_the_last_checkpoint_that_was_cut_short(data, uninterrupted, tmp_path):
    """mmengine writes it beside the checkpoints; ``resume=True`` in a config needs it not."""
    with pytest.MonkeyPatch.context() as patch:
        kill_in(patch, 'loss', 3)
        with pytest.raises(Killed):
            run(training(data), tmp_path)
    (tmp_path / 'last_checkpoint').write_text('')
    build_runner(training(data, changes={'resume': True}), tmp_path).train()
    assert differences(final_state(tmp_path), uninterrupted) == []


def test_killed_again_and_again(data, uninterrupted, tmp_path):
    for where, iteration in (('loss', 2), ('save', 3), ('step', 3), ('save', 5), ('loss', 5)):
        with pytest.MonkeyPatch.context() as patch:
            kill_in(patch, where, iteration)
            with pytest.raises(Killed):
                run(training(data), tmp_path)
    run(training(data), tmp_path)
    assert differences(final_state(tmp_path), uninterrupted) == []


@pytest.mark.parametrize('sharing', ['AllSpecific', 'Mask'])
def test_other_policies_and_workers_resume_as_well(data, tmp_path, sharing):
    cfg = training(data, sharing, {'train_cfg.step': dict(type='JointStep', freeze_rest=False)})
    run(cfg, tmp_path / 'whole')
    for task in TASKS:
        cfg.tasks[task].train_dataloader.num_workers = 1
    with pytest.MonkeyPatch.context() as patch:
        kill_in(patch, 'loss', 5)
        with pytest.raises(Killed):
            run(cfg, tmp_path / 'resumed')
    run(cfg, tmp_path / 'resumed')
    assert differences(final_state(tmp_path / 'resumed'), final_state(tmp_path / 'whole')) == []


def test_a_seed_that_was_drawn_is_kept(data, tmp_path):
    """Without a seed in the config the checkpoint alone knows it."""
    cfg = training(data)
    cfg.randomness = dict(seed=None)
    cfg.train_cfg.max_iters = 4
    first = run(cfg, tmp_path)
    cfg.train_cfg.max_iters = ITERATIONS
    second = run(cfg, tmp_path)
    assert second.seed == first.seed
    cfg.randomness = dict(seed=first.seed)
    run(cfg, tmp_path / 'whole')
    assert differences(final_state(tmp_path), final_state(tmp_path / 'whole')) == []


def test_validation_changes_nothing(data, uninterrupted, tmp_path):
    cfg = training(data)
    cfg.val_cfg = dict(type='MultiTaskValLoop')
    cfg.train_cfg.val_interval = 3
    run(cfg, tmp_path)
    assert differences(final_state(tmp_path), uninterrupted) == []


def test_other_seeds_end_elsewhere(data, uninterrupted, tmp_path):
    """The comparisons above can fail."""
    run(training(data, changes={'randomness.seed': 1}), tmp_path)
    found = differences(final_state(tmp_path), uninterrupted)
    assert len(found) > len(uninterrupted['state_dict']) / 2


@pytest.mark.slow
@pytest.mark.parametrize('share', [0.0, 0.5, 1.0])
def test_process_killed_while_it_writes_a_checkpoint(data, uninterrupted, tmp_path, share):
    """SIGKILL after that share of the bytes of the second checkpoint, before it has its name."""
    code = f"""
import os, signal, sys
sys.path[:0] = {[str(ROOT / 'tests'), str(ROOT / 'tests' / 'engine')]}
from pathlib import Path
import torch
from test_resume import run, training

def save(checkpoint, file):
    whole(checkpoint, file)
    if 'iter_4' in str(file.name):
        file.truncate(int(file.tell() * {share}))
        os.kill(os.getpid(), signal.SIGKILL)

whole, torch.save = torch.save, save
run(training(Path({str(data)!r})), Path({str(tmp_path)!r}))
"""
    done = run_python(code, cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert [path.name for path in tmp_path.glob('iter_*')] == ['iter_2.pth']
    run(training(data), tmp_path)
    assert differences(final_state(tmp_path), uninterrupted) == []


def test_training_tool_runs_and_goes_on(data, tmp_path, monkeypatch):
    """From the command line: two iterations, then the rest; and the same all at once."""
    path = write_config(training(data), tmp_path / 'mine.py')
    options = ['--work-dir', tmp_path / 'resumed', '--cfg-options']
    first = run_tool('train', path, *options, 'train_cfg.max_iters=2', cwd=tmp_path)
    assert first.returncode == 0, first.stderr[-2000:]
    assert latest_checkpoint(tmp_path / 'resumed').name == 'iter_2.pth'
    options = ['--resume', *options]
    call_tool(monkeypatch, 'train', path, *options, f'train_cfg.max_iters={ITERATIONS}')
    logs = [log.read_text() for log in (tmp_path / 'resumed').glob('*/*.log')]
    assert sum('resumed iter: 2' in text for text in logs) == 1
    run(training(data), tmp_path / 'whole')
    assert differences(final_state(tmp_path / 'resumed'), final_state(tmp_path / 'whole')) == []


def test_resuming_builds_each_training_set_once(data, tmp_path, monkeypatch):
    cfg, built = training(data), []
    run(cfg, tmp_path)
    original = task_data.build_dataset

    def counting(task, *args):
        built.append(task)
        return original(task, *args)

    monkeypatch.setattr(task_data, 'build_dataset', counting)
    assert run(cfg, tmp_path).iter == ITERATIONS and sorted(built) == sorted(TASKS)


def test_resume_without_a_checkpoint_starts_as_the_config_says(data, tmp_path):
    cfg = training(data, changes={'load_from': 'supernet.pth'})
    cfg.work_dir = str(tmp_path / 'nothing')
    resume_from(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (False, 'supernet.pth')
    resume_from(cfg, 'other.pth')
    assert (cfg.resume, cfg.load_from) == (True, 'other.pth')


def test_latest_checkpoint_is_that_of_the_most_iterations(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    for name in ('iter_9.pth', 'iter_10.pth', 'iter_2.pth', 'iter_99-0a1b2c3d.pth', 'best_x.pth'):
        torch.save({}, tmp_path / name)
    (tmp_path / '.iter_11.pth.5.tmp').touch()
    assert latest_checkpoint(tmp_path) == tmp_path / 'iter_10.pth'


def test_a_checkpoint_that_is_cut_short(tmp_path, monkeypatch):
    """Automatic resuming takes the last whole one, and says so; one that is named is refused."""
    for name in ('iter_9.pth', 'iter_10.pth'):
        torch.save({}, tmp_path / name)
    cut = tmp_path / 'iter_10.pth'
    os.truncate(cut, cut.stat().st_size // 2)
    said = []
    monkeypatch.setattr(checkpoint, 'print_log', lambda text, *_: said.append(text))
    cfg = Config(dict(work_dir=str(tmp_path)))
    resume_from(cfg, 'auto')
    assert cfg.load_from == str(tmp_path / 'iter_9.pth')
    (warning,) = said
    assert_names(warning, cut, tmp_path / 'iter_9.pth')
    with raises_naming(ValueError, cut, f'--resume {tmp_path / "iter_9.pth"}'):
        resume_from(cfg, str(cut))
    with raises_naming(ValueError, f'--resume: {tmp_path} ', tmp_path / 'iter_9.pth'):
        resume_from(cfg, str(tmp_path))
    said.clear()
    (tmp_path / 'iter_9.pth').write_bytes(b'')
    with raises_naming(ValueError, tmp_path / 'iter_9.pth'):
        resume_from(cfg, str(tmp_path / 'iter_9.pth'))
    assert not said
    with raises_naming(ValueError, cut):
        resume_from(cfg, 'auto')


def test_a_loss_scale_begins_anew_where_there_was_none():
    """As of a training in float32, or on a processor, that goes on in fp16."""
    taken = []

    class Scaler:
        load_state_dict = staticmethod(taken.append)

        def state_dict(self):
            return dict(scale=8.0)

    model = torch.nn.Linear(2, 2)
    plain, scaled = (OptimWrapper(torch.optim.SGD(model.parameters(), lr=1.0)) for _ in range(2))
    scaled.loss_scaler = Scaler()
    load_optimizer_state(scaled, model, optimizer_state(plain, model))
    assert not taken
    load_optimizer_state(scaled, model, optimizer_state(scaled, model))
    assert taken == [dict(scale=8.0)]
