"""A search in several processes is that of one, also when one of them is killed."""

import copy
import os
import signal

import pytest
from distributed.processes import Processes, run_processes
from distributed.trainings import trained, training
from engine.test_image_group_search import make_config
from helpers import build_runner, read_json

from mdl_nas_mm.search import run_search
from mdl_nas_mm.search.evaluator import SupernetEvaluator
from mdl_nas_mm.tasks import resolve_joint_config

pytestmark = pytest.mark.distributed
FILES = ('history.jsonl', 'joint_spec.json', 'front.json')


def search(cfg, supernet, folder, distributed=True, die_at=None):
    """Searches in this process; may be killed in one of its evaluations."""
    if die_at is not None and os.environ['RANK'] == '1':
        evaluate, calls = SupernetEvaluator.__call__, []

        def killing(self, specs):
            calls.append(specs)
            if len(calls) == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return evaluate(self, specs)

        SupernetEvaluator.__call__ = killing
    launcher = 'pytorch' if distributed else 'none'
    run_search(resolve_joint_config(copy.deepcopy(cfg)), supernet, folder, launcher)


@pytest.fixture
def supernet(data, tmp_path):
    cfg = training(data, changes={'train_cfg.max_iters': 1})
    cfg.default_hooks.checkpoint.update(interval=1)
    trained(0, cfg, tmp_path / 'supernet')
    evolution = dict(population=4, generations=3, parents=2, crossovers=1, mutations=2)
    cfg.search_cfg = dict(budget='1G', evolution=evolution)
    return cfg, tmp_path / 'supernet' / 'iter_1.pth'


@pytest.fixture
def group(data, tmp_path):
    """Two tasks that share a pass, and one beside them."""
    cfg = make_config(data, tmp_path / 'data')
    build_runner(cfg, tmp_path / 'supernet').train()
    evolution = dict(population=4, generations=2, parents=2, crossovers=1, mutations=2)
    cfg.search_cfg = dict(budget='1G', evolution=evolution)
    return cfg, tmp_path / 'supernet' / 'iter_1.pth'


def test_tasks_that_share_a_pass_are_split_together(group, tmp_path):
    """Over two processes, and over three, of which two have the images and one dies."""
    run_processes(1, search, *group, tmp_path / 'one', False, folder=tmp_path / 'logs_1')
    content = {name: (tmp_path / 'one' / name).read_bytes() for name in FILES}
    run_processes(2, search, *group, tmp_path / 'two', folder=tmp_path / 'logs_2')
    assert {name: (tmp_path / 'two' / name).read_bytes() for name in FILES} == content
    folder = tmp_path / 'killed'
    killed = Processes(3, search, *group, folder, True, 2, folder=tmp_path / 'logs_killed')
    assert killed.wait()[1] == -signal.SIGKILL
    run_processes(3, search, *group, folder, folder=tmp_path / 'logs_again')
    assert {name: (folder / name).read_bytes() for name in FILES} == content


def test_any_number_of_processes_finds_the_same(supernet, tmp_path):
    folder = tmp_path / 'one'
    run_processes(1, search, *supernet, folder, False, folder=tmp_path / 'logs_1')
    content = {name: (folder / name).read_bytes() for name in FILES}
    report = read_json(folder / 'report.json')
    assert report['evaluations'] > 9 and set(report['answers']) == {*supernet[0].tasks}
    for world_size in (2, 4):
        folder = tmp_path / str(world_size)
        run_processes(world_size, search, *supernet, folder, folder=tmp_path / f'l{world_size}')
        assert {name: (folder / name).read_bytes() for name in FILES} == content
        assert not list(folder.glob('history.rank*'))
        # Answers are drawn where a task is.
        same = read_json(folder / 'report.json')
        assert [same[key] for key in ('answers', 'flops')] == [report['answers'], report['flops']]
        assert all(
            (folder / file).is_file() for files in same['answers'].values() for file in files
        )
    # Three processes, one of which dies in its fifth evaluation; then four go on.
    folder = tmp_path / 'killed'
    killed = Processes(3, search, *supernet, folder, True, 5, folder=tmp_path / 'logs_killed')
    assert killed.wait()[1] == -signal.SIGKILL
    assert not (folder / 'joint_spec.json').exists()
    run_processes(4, search, *supernet, folder, folder=tmp_path / 'logs_again')
    assert {name: (folder / name).read_bytes() for name in FILES} == content
