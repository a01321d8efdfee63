"""A gradient that is not finite on one rank makes a loss scaler skip the step on all."""

import copy

import pytest
import torch
from distributed.processes import run_processes
from helpers import build_runner, joint_config

from mdl_nas_mm.engine.grad_sync import spread_overflow
from mdl_nas_mm.spec.owners import ALL, Owners

pytestmark = pytest.mark.distributed


def check_overflow(cfg, folder):
    cfg = copy.deepcopy(cfg)
    cfg.launcher = 'pytorch'
    runner = build_runner(cfg, folder)
    model, rank = runner.model, runner.ranks.rank
    for overflowing in (None, 1):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        if rank == overflowing:
            model.parameters_by_owners()[Owners.of('det')][-1].grad.view(-1)[0] = torch.nan
        spread_overflow(model)
        shared = model.parameters_by_owners()[ALL]
        finite = [bool(p.grad.isfinite().all()) for p in shared]
        assert all(finite) == (overflowing is None)
        assert all((p.grad == 1).all() for p in shared[1:])


def test_overflow_on_one_rank_is_seen_by_all(data, tmp_path):
    run_processes(3, check_overflow, joint_config(data), tmp_path, folder=tmp_path / 'logs')
