"""Losses for a predictor: three processes against one, and a process that is killed."""

import os
import signal

import numpy as np
import pytest
from distributed.processes import Processes, run_processes
from image_group import saved_supernet

from mdl_nas_mm.search.loss_samples import measure_losses
from mdl_nas_mm.search.losses import LossEvaluator

pytestmark = pytest.mark.distributed
SAMPLES = 5


@pytest.fixture(scope='module')
def supernet(tmp_path_factory):
    return saved_supernet(tmp_path_factory.mktemp('losses'))


@pytest.fixture(scope='module')
def alone(supernet, tmp_path_factory):
    """Rows and losses as one process has them."""
    _, rows, losses = measure_losses(*supernet, tmp_path_factory.mktemp('one'), SAMPLES)
    return rows, losses


def measure(supernet, folder, launcher, killed_at=None):
    """Measures; the process is killed when it begins with so many of its samples."""
    evaluate, begun = LossEvaluator.__call__, []

    def killing(self, joint):
        begun.append(joint)
        if len(begun) == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return evaluate(self, joint)

    if killed_at is not None:
        LossEvaluator.__call__ = killing
    found = measure_losses(*supernet, folder, SAMPLES, launcher=launcher)
    if found is not None:
        np.savez(folder / 'found.npz', rows=found[1], losses=found[2])


def assert_found(folder, alone):
    found = np.load(folder / 'found.npz')
    np.testing.assert_array_equal(found['rows'], alone[0])
    np.testing.assert_array_equal(found['losses'], alone[1])


def test_three_processes_measure_what_one_does(supernet, alone, tmp_path):
    run_processes(3, measure, supernet, tmp_path, 'pytorch', folder=tmp_path / 'logs')
    assert len(list(tmp_path.glob('losses.*.jsonl'))) == 3
    assert_found(tmp_path, alone)


def test_a_killed_process_goes_on_as_three(supernet, alone, tmp_path):
    killed = Processes(1, measure, supernet, tmp_path, 'none', 3, folder=tmp_path / 'first')
    assert killed.wait() == [-signal.SIGKILL]
    lines = (tmp_path / 'losses.0.jsonl').read_bytes().splitlines()
    assert len(lines) == 3
    run_processes(3, measure, supernet, tmp_path, 'pytorch', folder=tmp_path / 'second')
    assert (tmp_path / 'losses.0.jsonl').read_bytes().splitlines()[:3] == lines
    assert_found(tmp_path, alone)
