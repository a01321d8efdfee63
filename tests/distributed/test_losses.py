"""Losses of all ranks, put together for the log."""

from datetime import timedelta

import pytest
import torch
from distributed.processes import run_processes

from mdl_nas_mm.engine.assignment import assign_ranks
from mdl_nas_mm.engine.groups import TaskGroups
from mdl_nas_mm.engine.launch import start_processes
from mdl_nas_mm.engine.losses import LossGatherer

pytestmark = pytest.mark.distributed


def check_names():
    """In its second step alone one rank reports another loss."""
    timeout = timedelta(seconds=60)
    start_processes('pytorch', timeout)
    ranks = TaskGroups.make(assign_ranks(('a', 'b'), None, 3), timeout)
    gather, task = LossGatherer(ranks), ranks.tasks[0]
    for step in range(3):
        parts = {f'{task}/loss': torch.tensor(ranks.rank + 1.0, dtype=torch.float64)}
        if step == 1 and ranks.rank == 1:
            parts['a/loss_extra'] = torch.tensor(0.5)
        losses = {name: float(value) for name, value in gather(parts).items()}
        expected = {'a/loss': 3.0, 'b/loss': 3.0, 'loss': 6.0}
        if step == 1:
            expected['a/loss_extra'] = 0.5
        assert losses == expected, (step, losses)


def test_losses_are_summed_by_name(tmp_path):
    run_processes(3, check_names, folder=tmp_path)


def test_the_sum_of_no_losses_is_one():
    """As of a step in which no image has a label of any task; samplers are told it too."""
    ranks = TaskGroups.make(assign_ranks(('a', 'b'), None, 1), timedelta(seconds=60))
    losses = LossGatherer(ranks)({})
    assert set(losses) == {'loss'} and torch.equal(losses['loss'], torch.zeros(()))
