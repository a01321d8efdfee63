"""The tools under torchrun, as people start them; and torchrun starting them again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from distributed.trainings import largest_difference, trained, training
from helpers import ROOT, write_config

from mdl_nas_mm.engine.checkpoint import latest_checkpoint, read_checkpoint

pytestmark = [pytest.mark.distributed, pytest.mark.slow]
STEPS = 6


def settings(data):
    cfg = training(data, changes={'train_cfg.max_iters': STEPS})
    cfg.val_cfg = dict(type='MultiTaskValLoop')
    cfg.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=-1)
    return cfg


def start(tool, *arguments, options=(), output, **environment):
    """torchrun with three workers; its output goes to a file."""
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=3']
    command += [*options, ROOT / 'tools' / f'{tool}.py', *arguments, '--launcher', 'pytorch']
    with open(output, 'w') as file:
        return subprocess.Popen(
            list(map(str, command)),
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=output.parent,
            # More processes than a machine may have GPUs: over gloo.
            env=dict(os.environ, PYTHONPATH=str(ROOT), CUDA_VISIBLE_DEVICES='', **environment),
        )


def ended(process, output, timeout=300):
    """The exit code; a torchrun that hangs is stopped with its workers."""
    try:
        return process.wait(timeout)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
            print(output.read_text()[-3000:])


def worker(process, rank):
    """The process id of torchrun's worker of a rank."""
    children = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
    for child in children:
        if f'RANK={rank}' in Path(f'/proc/{child}/environ').read_text().split('\0'):
            return int(child)
    raise AssertionError(f'no worker of rank {rank} among {children}')


def test_training_and_evaluation(data, tmp_path):
    cfg = settings(data)
    path, output = write_config(cfg, tmp_path / 'mine.py'), tmp_path / 'train.txt'
    folder = tmp_path / 'work'
    assert ended(start('train', path, '--work-dir', folder, output=output), output) == 0
    one = trained(0, cfg, tmp_path / 'one')['state_dict']
    last = latest_checkpoint(folder)
    assert largest_difference(read_checkpoint(last)['state_dict'], one) < 1e-5
    scores = output.read_text().split('Iter(val)')[-1]
    output = tmp_path / 'test.txt'
    assert ended(start('test', path, last, '--work-dir', folder, output=output), output) == 0
    again = output.read_text().split('Iter(val)')[-1]
    for text in (scores, again):
        assert 's_score: ' in text
    assert scores.split('time')[0] == again.split('time')[0]


def test_a_killed_worker_is_started_again(data, tmp_path):
    """It resumes by itself, and ends where the uninterrupted training ends."""
    cfg = settings(data)
    cfg.val_cfg = None
    path, output = write_config(cfg, tmp_path / 'mine.py'), tmp_path / 'train.txt'
    folder = tmp_path / 'work'
    process = start(
        'train',
        *(path, '--work-dir', folder, '--resume'),
        options=['--max-restarts=1'],
        output=output,
        # Without it the workers that are started again find the addresses of those before.
        TORCH_DISABLE_SHARE_RDZV_TCP_STORE='1',
    )
    end = time.monotonic() + 200
    while not latest_checkpoint(folder) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(worker(process, 1), signal.SIGKILL)
    assert ended(process, output) == 0
    assert 'resumed iter: ' in output.read_text()
    one = trained(0, cfg, tmp_path / 'one')['state_dict']
    resumed = read_checkpoint(folder / f'iter_{STEPS}.pth')
    assert largest_difference(resumed['state_dict'], one) < 1e-5
