"""Sub-tasks whose training is killed in each of its stages, and started again."""

import os
import signal

import pytest
from distributed.processes import Processes
from new_tasks import new_config
from sub_tasks import OPTIMIZER, base_deposit, fixed, gated

from mdl_nas_mm.apis.sub_tasks import STAGES, share_computation
from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.methods.computation_sharing.step import DifferenceStep

STEPS = 3


def config(data, base):
    cfg = new_config(data, base, None, name='more')
    cfg.train_cfg.dry_run = False
    cfg.default_hooks.checkpoint.interval = 1
    steps = dict(
        gates=gated(), places=fixed(''), activations=fixed('', activations=dict(coefficient=1e-3))
    )
    own = dict(optim_wrapper=OPTIMIZER, _delete_=True)
    cfg.computation_sharing = dict(
        density=0.3,
        **{
            stage: dict(train_cfg=dict(max_iters=STEPS, step=dict(step, **own)))
            for stage, step in steps.items()
        },
    )
    return cfg


def share(cfg, folder, calls, die_in=None):
    """Notes in a file the stage of each step; dies in the last step of a stage."""
    run = DifferenceStep.run

    def noted(self, *args):
        stage = STAGES[2 if getattr(self, 'activations', None) else hasattr(self, 'start')]
        with open(calls, 'a') as file:
            print(stage, file=file)
        if stage == die_in and calls.read_text().split().count(stage) == STEPS:
            os.kill(os.getpid(), signal.SIGKILL)
        return run(self, *args)

    DifferenceStep.run = noted
    try:
        return share_computation(cfg, folder)
    finally:
        DifferenceStep.run = run


@pytest.fixture(scope='module')
def base(data, tmp_path_factory, quick_mmengine):
    return base_deposit(data, tmp_path_factory.mktemp('base'))


def test_a_training_that_is_killed_in_each_stage_ends_as_if_it_had_not(data, base, tmp_path):
    cfg, calls = config(data, base), tmp_path / 'calls.txt'
    whole = share(cfg, tmp_path / 'whole', tmp_path / 'whole.txt')
    for stage in STAGES:
        given = (cfg, tmp_path / 'killed', calls, stage)
        killed = Processes(1, share, *given, folder=tmp_path / stage)
        assert killed.wait() == [-signal.SIGKILL]
    again = share(cfg, tmp_path / 'killed', calls)
    # No step was taken twice but those that were killed.
    assert calls.read_text().split() == [stage for stage in STAGES for _ in range(STEPS + 1)]
    assert Deposit(again).manifest['hashes'] == Deposit(whole).manifest['hashes']
