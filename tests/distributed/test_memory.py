"""A rank builds and holds its own tasks only, and what it holds does not depend on the others."""

import copy

import pytest
import torch
from distributed.processes import run_processes
from helpers import TASKS, build_runner, joint_config

from mdl_nas_mm.spec.owners import ALL, owners_of

pytestmark = pytest.mark.distributed
POLICY = 'AllSpecific'


def build(cfg, folder, distributed):
    """Writes what this rank's model is at the start of a training."""
    cfg = copy.deepcopy(cfg)
    cfg.launcher = 'pytorch' if distributed else 'none'
    runner = build_runner(cfg, folder)
    runner.initialize_weights()
    torch.save(runner.model.state_dict(), folder / f'state_{runner.ranks.rank}.pth')


def initial(world_size, cfg, folder):
    """The state dict of each rank; 0 means no launcher."""
    number = max(world_size, 1)
    run_processes(number, build, cfg, folder, world_size > 0, folder=folder)
    return [torch.load(folder / f'state_{rank}.pth') for rank in range(number)]


def elements(state):
    return sum(value.numel() for value in state.values())


def tasks_in(state):
    owners = {owners_of(key) for key in state} - {ALL}
    return {task for each in owners for task in each.tasks}


def repeated(cfg, times):
    """The config with each of its tasks so many times."""
    cfg.tasks = {f'{task}_{i}': cfg.tasks[task] for i in range(times) for task in TASKS}
    return cfg


@pytest.mark.parametrize('sharing', ['Sequential', pytest.param('Mask', marks=pytest.mark.slow)])
def test_initial_weights_do_not_depend_on_the_assignment(data, tmp_path, sharing):
    cfg = joint_config(data, sharing)
    (whole,) = initial(0, cfg, tmp_path / 'one')
    for world_size in (2, 3, 4):
        states = initial(world_size, cfg, tmp_path / str(world_size))
        for state in states:
            assert all(torch.equal(value, whole[key]) for key, value in state.items()), world_size
        assert set().union(*states) == set(whole)


def test_a_rank_has_nothing_of_other_tasks(data, tmp_path):
    for rank, state in enumerate(initial(3, joint_config(data, POLICY), tmp_path)):
        assert tasks_in(state) == {TASKS[rank]}
        assert any(f'.specific.{TASKS[rank]}.' in key for key in state)


def test_a_rank_needs_as_much_for_twelve_tasks_as_for_three(data, tmp_path):
    """With everything in the blocks specific, what all tasks have together is much more."""
    three = initial(3, joint_config(data, POLICY), tmp_path / 'three')
    twelve = initial(12, repeated(joint_config(data, POLICY), 4), tmp_path / 'twelve')
    for rank, state in enumerate(twelve):
        # In the order of their names.
        assert tasks_in(state) == {f'{TASKS[rank // 4]}_{rank % 4}'}
        assert elements(state) == elements(three[rank // 4])
