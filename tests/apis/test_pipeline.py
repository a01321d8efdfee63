"""From configs to the deposited model in stages, which can be interrupted anywhere."""

import copy
import importlib
import os

import pytest
import torch
from helpers import TASKS, differences, joint_config, only, read_json
from refusals import raises_naming
from safetensors.torch import load_file

from mdl_nas_mm.apis.pipeline import Stages, run_pipeline
from mdl_nas_mm.engine import MultiTaskRunner
from mdl_nas_mm.tasks import resolve_joint_config

pipeline = importlib.import_module('mdl_nas_mm.apis.pipeline')
EXPECTED = dict(pretrain=1, joint=2, search=3, deposit=1, evaluate=1)


class Stop(BaseException):
    pass


@pytest.fixture(scope='module')
def configs(data):
    """Pre-training of one task, then three, of one iteration each, and the smallest search."""
    pretrain = only(joint_config(data, 'AllShared', {'train_cfg.max_iters': 1}), 'cls')
    joint = joint_config(data, 'Sequential', {'train_cfg.max_iters': 2})
    joint.search_cfg = dict(
        budget='1M', evolution=dict(population=2, generations=1, crossovers=0, mutations=0)
    )
    return pretrain, joint


def run(configs, folder):
    return run_pipeline(*copy.deepcopy(configs), Stages(folder, EXPECTED))


@pytest.fixture(scope='module')
def whole(configs, tmp_path_factory, quick_mmengine):
    folder = tmp_path_factory.mktemp('whole')
    return folder, run(configs, folder)


def test_summary_has_what_a_reader_looks_for(whole):
    folder, summary = whole
    assert read_json(folder / 'summary.json') == summary
    assert set(summary['tasks']) == set(summary['specific']) == set(TASKS)
    for task, result in summary['tasks'].items():
        assert {'metric', 'score', 'score_in_supernet', 'params', 'flops'} <= set(result)
        assert result['score'] == result['score_in_supernet']
        assert result['params'] > 0 and result['flops'] > 0, task
    assert {'bbox_mAP_50', 'segm_mAP'} <= set(summary['tasks']['det'])
    assert summary['total'] < summary['separate']
    assert summary['separate'] == sum(result['params'] for result in summary['tasks'].values())
    parts = summary['shared'] + sum(summary['specific'].values()) + sum(summary['heads'].values())
    assert summary['total'] == parts
    assert summary['deposit_bytes'] == os.path.getsize(summary['deposit'])
    assert set(summary['seconds']) == set(EXPECTED)


@pytest.mark.parametrize(
    'stops',
    [
        ['MultiTaskRunner.resume'],
        ['run_search'],
        ['save_deposit', 'score'],
        ['train_stage', 'evaluate_deposit', 'summarise'],
    ],
    ids=' '.join,
)
def test_interrupted_pipeline_ends_like_the_uninterrupted(configs, whole, tmp_path, stops):
    """Stopped in each of these functions in turn, after it has done its work."""
    for name in stops:
        with pytest.MonkeyPatch.context() as patch:
            stop_after(patch, name)
            if name == 'MultiTaskRunner.resume':
                # A kill within the first training, then one right after it was resumed.
                stop_after(patch, 'MultiTaskRunner.save_checkpoint')
                with pytest.raises(Stop):
                    run(configs, tmp_path)
                patch.undo()
                stop_after(patch, name)
            with pytest.raises(Stop):
                run(configs, tmp_path)
    summary, expected = run(configs, tmp_path), whole[1]
    assert without_place(summary) == without_place(expected)
    first, second = (load_file(each['deposit']) for each in (summary, expected))
    assert differences(first, second) == []
    assert read_json(tmp_path / 'summary.json') == summary


def stop_after(patch, name):
    """Raises once a function of the pipeline, or a method of its runner, is done."""
    owner, _, name = name.rpartition('.')
    owner = MultiTaskRunner if owner else pipeline
    function = getattr(owner, name)

    def stopping(*args, **kwargs):
        function(*args, **kwargs)
        raise Stop

    patch.setattr(owner, name, stopping)


def without_place(summary):
    return {key: value for key, value in summary.items() if key not in ('deposit', 'seconds')}


def test_finished_pipeline_does_nothing_again(configs, whole, monkeypatch, capsys):
    folder, summary = whole
    for name in ('train_stage', 'run_search', 'save_deposit', 'score'):
        stop_after(monkeypatch, name)
    assert run(configs, folder) == summary
    assert capsys.readouterr().out.count('done before') == len(EXPECTED)


def test_impossible_budget_is_refused_before_the_training(configs, tmp_path):
    pretrain, joint = copy.deepcopy(configs)
    joint.search_cfg.budget = 100
    with raises_naming(ValueError, 'budget', 100):
        run((pretrain, joint), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_config_without_validation_is_refused_before_the_training(configs, tmp_path):
    pretrain, joint = copy.deepcopy(configs)
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        joint.pop(key, None)
    with raises_naming(ValueError, 'joint config', 'validation'):
        run((pretrain, joint), tmp_path)
    assert not list(tmp_path.iterdir())


def test_stage_that_was_killed_goes_on_with_what_it_left(tmp_path):
    """Killed as by a signal, so that nothing can be written any more."""
    if not (child := os.fork()):
        try:
            stages = Stages(tmp_path, dict(first=1))
            stages.run('first', 'a', lambda f: ((f / 'half').touch(), os._exit(7)))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    found = []
    stages = Stages(tmp_path, dict(first=1))
    stages.run('first', 'a', lambda f: found.extend(path.name for path in f.iterdir()))
    assert found == ['half']


@pytest.mark.parametrize('content', ['[1]', '{"first": {"done": true}}', '{"first": 3}'])
def test_what_says_how_far_stages_are_may_be_damaged(tmp_path, content):
    (tmp_path / 'stages.json').write_text(content)
    with raises_naming(ValueError, 'stages.json', 'damaged'):
        Stages(tmp_path, dict(first=1))


def test_changed_settings_start_a_stage_and_all_later_ones_anew(tmp_path):
    def run_until(last, second):
        stages, ran = Stages(tmp_path, dict(a=1, b=1, c=1)), []
        for name, settings in (('a', ''), ('b', second), ('c', '')):
            stages.run(name, settings, lambda f, n=name: (ran.append(n), (f / 'x').touch()))
            if name == last:
                break
        return ran, set(stages.seconds())

    assert run_until('c', 'old') == (['a', 'b', 'c'], {'a', 'b', 'c'})
    assert run_until('c', 'old')[0] == []
    # What the last one took with other settings is not what it takes.
    assert run_until('b', 'new') == (['b'], {'a', 'b'})
    assert run_until('c', 'new') == (['c'], {'a', 'b', 'c'})
    assert run_until('c', 'new')[0] == []


@pytest.mark.parametrize(('gpus', 'cores', 'usual'), [(0, 8, 2), (0, 1, 1), (1, 8, 1), (4, 8, 2)])
def test_each_process_has_a_gpu_or_a_core_of_its_own(monkeypatch, gpus, cores, usual):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: gpus)
    monkeypatch.setattr(os, 'cpu_count', lambda: cores)
    assert pipeline.usual_processes() == usual


def test_processes_that_would_share_a_gpu_are_refused(configs, tmp_path, monkeypatch):
    """NCCL would fail with them, and say nothing of it that helps."""
    started = []
    monkeypatch.setattr(
        pipeline, 'run_on_processes', lambda *command: started.append(command) or True
    )
    cfg = copy.deepcopy(configs[0])
    for gpus, backend in ((1, None), (1, 'gloo'), (2, None), (0, None)):
        monkeypatch.setattr(torch.cuda, 'device_count', lambda gpus=gpus: gpus)
        cfg.env_cfg = dict(dist_cfg=dict(backend=backend)) if backend else {}
        if (gpus, backend) == (1, None):
            with raises_naming(ValueError, 'processes', 2, 1, 'gloo'):
                pipeline.train_stage(cfg, tmp_path, processes=2)
        else:
            pipeline.train_stage(cfg, tmp_path, processes=2)
    assert len(started) == 3


@pytest.mark.distributed
def test_a_search_on_several_processes_finds_the_same(configs, whole, tmp_path):
    cfg, folder = resolve_joint_config(copy.deepcopy(configs[1])), whole[0]
    supernet = pipeline.trained_checkpoint(folder / 'joint')
    pipeline.search_stage(cfg, supernet, tmp_path, processes=2)
    for name in ('joint_spec.json', 'front.json'):
        assert read_json(tmp_path / name) == read_json(folder / 'search' / name), name


@pytest.mark.slow
def test_several_processes_train_the_same(configs, whole, tmp_path):
    """But for rounding; the tasks and the batches of a step are divided among them."""
    folder, summary = whole
    found = run_pipeline(*copy.deepcopy(configs), Stages(tmp_path, EXPECTED), processes=2)
    for stage in ('pretrain/iter_1.pth', 'joint/iter_2.pth'):
        ours, theirs = (
            torch.load(each / stage, weights_only=False)['state_dict']
            for each in (tmp_path, folder)
        )
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-4, msg=name)
    assert found['tasks'].keys() == summary['tasks'].keys()


def test_what_was_there_already_says_nothing_of_the_pace(tmp_path, capsys):
    stages = Stages(tmp_path, dict(data=60, train=120))
    stages.run('data', '', lambda folder: None)
    stages.run('train', '', lambda folder: None)
    first, _, second, _ = capsys.readouterr().out.splitlines()
    assert 'about 1:00 min; about 3:00 min' in first
    assert 'about 2:00 min; about 2:00 min' in second
