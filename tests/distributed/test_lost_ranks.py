"""A rank is gone or hangs: another one says which it is, and how to go on."""

import os
import re
import runpy
import signal
import sys
import time

import pytest
from distributed.processes import Processes
from distributed.trainings import training
from helpers import ROOT, write_config

from mdl_nas_mm.engine import errors
from mdl_nas_mm.tasks import MultiTaskModel

pytestmark = pytest.mark.distributed


def leaving(way, calls=2):
    """A loss that does not come back from one of its calls."""
    loss, count = MultiTaskModel.loss, [0]

    def call(*args, **kwargs):
        count[0] += 1
        if count[0] == calls:
            time.sleep(100) if way == 'hang' else os.kill(os.getpid(), signal.SIGKILL)
        return loss(*args, **kwargs)

    return call


def train(path, folder, victim, way):
    if os.environ['RANK'] == str(victim):
        MultiTaskModel.loss = leaving(way)
    elif way == 'hang':
        errors._SECONDS = 1
    sys.argv = ['train.py', str(path), '--work-dir', str(folder), '--launcher', 'pytorch']
    runpy.run_path(str(ROOT / 'tools' / 'train.py'), run_name='__main__')


@pytest.mark.parametrize(
    ('victim', 'way', 'says'),
    [
        (1, 'kill', r'rank 1 \(process {pid} of .*\) ended without a word, perhaps killed'),
        (0, 'kill', 'rank 0, or what has started it, has ended'),
        (1, 'hang', r'no answer from rank 1 \(process {pid} of .*\), which hangs or is gone'),
    ],
)
def test_another_rank_says_which_it_is(data, tmp_path, victim, way, says):
    cfg = training(data, changes={'env_cfg.dist_cfg.timeout': 2})
    path = write_config(cfg, tmp_path / 'mine.py')
    arguments = (path, tmp_path / 'work', victim, way)
    processes = Processes(2, train, *arguments, folder=tmp_path / 'logs')
    other, pid = 1 - victim, processes[victim].pid
    processes[other].join(60)
    processes[victim].kill()
    codes = processes.wait(timeout=10)
    assert codes[other] == 1, processes.texts([other])
    assert 'Traceback' not in processes.outputs()[other]
    last = processes.outputs()[other].splitlines()[-1]
    assert re.fullmatch(f'error: {says}; go on with --resume'.replace('{pid}', str(pid)), last)
