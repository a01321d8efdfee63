"""The demo of dense tasks: together in one pass, and each alone, in stages."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import read_json
from mmengine.config import Config
from PIL import Image

from mdl_nas_mm.apis import comparison
from mdl_nas_mm.apis.comparison import compare, train_alone
from mdl_nas_mm.apis.pipeline import Stages, run_pipeline
from mdl_nas_mm.datasets.rooms import write_rooms
from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.visualization import plot_dense_answers, print_comparison

CONFIG = Path(__file__).parents[2] / 'configs' / 'demo' / 'demo_rooms.py'
TASKS = ('seg', 'depth', 'normals', 'edges')
EXPECTED = dict.fromkeys(('joint', 'search', 'deposit', 'evaluate', 'alone'), 1)
LESS = {'depth': True, 'normals': True, 'seg': False, 'edges': False}


@pytest.fixture(scope='module')
def joint(tmp_path_factory):
    """The demo's config, with trainings of two steps on four images."""
    root = tmp_path_factory.mktemp('data') / 'rooms'
    write_rooms(root, images=dict(train=4, search=1, val=2), progress=False)
    cfg = Config.fromfile(CONFIG)
    data = dict(batch_size=2, dataset=dict(data_root=str(root)))
    for task in cfg.tasks.values():
        task.train_dataloader = task.val_dataloader = data
        task.search_dataloader['dataset'] = dict(data_root=str(root), ann_file='gt_sets/search.txt')
    cfg.param_scheduler = []
    cfg.train_cfg.max_iters = cfg.train_cfg.val_interval = 2
    cfg.search_cfg.evolution = dict(population=1, generations=1, crossovers=0, mutations=0)
    return cfg


@pytest.fixture(scope='module')
def done(joint, tmp_path_factory, quick_mmengine):
    folder = tmp_path_factory.mktemp('demo')
    stages = Stages(folder, EXPECTED)
    deposit = run_pipeline(None, joint, stages)['deposit']
    alone = train_alone(joint, folder / 'search' / 'joint_spec.json', stages, processes=1)
    scored = read_json(folder / 'evaluate' / 'tasks.json')
    together = {task: result['metrics'] for task, result in scored.items()}
    return folder, deposit, compare(joint, deposit, together, alone, repeats=1), alone


def test_a_training_alone_is_not_lost_for_a_metric_that_is_nan(tmp_path, monkeypatch):
    """As of a class that the validation split lacks."""
    metrics = dict(mAP=np.float64(0.5), cat_precision=np.nan, classwise=[0.5, 1.0])
    task = SimpleNamespace(val=0, evaluate=lambda model, split: (50.0, metrics))
    cfg = SimpleNamespace(tasks=dict(det=task))
    for name, found in (
        ('resolve_joint_config', cfg),
        ('train_stage', None),
        ('trained_checkpoint', None),
        ('load_supernet', None),
        ('given_spec', None),
        ('estimated_subnets', dict(det=None)),
    ):
        monkeypatch.setattr(comparison, name, lambda *_, found=found: found)
    comparison._one(cfg, tmp_path)
    assert read_json(tmp_path / 'metrics.json') == dict(mAP=0.5)


def test_tasks_are_compared_with_their_single_task_models(done):
    folder, deposit, found, alone = done
    assert tuple(found['tasks']) == tuple(sorted(TASKS))
    changes = []
    for task, result in found['tasks'].items():
        assert result['alone'] == alone[task][result['metric']]
        change = (result['together'] - result['alone']) / result['alone'] * 100
        assert result['delta_t'] == pytest.approx(-change if LESS[task] else change)
        changes.append(result['delta_t'])
        assert read_json(folder / 'alone' / task / 'metrics.json') == alone[task]
    assert found['delta_t'] == pytest.approx(np.mean(changes))


def test_one_pass_saves_what_is_computed_once(done):
    _, deposit, found, _ = done
    opened = Deposit(deposit)
    models = {task: opened.build_backbone(task) for task in TASKS}
    flops = {task: model.flops(None, model.arch, (96, 128)) for task, model in models.items()}
    kinds = {opened.joint[task]: flops[task] for task in TASKS}
    assert found['flops']['each'] - found['flops']['one'] == sum(flops.values()) - sum(
        kinds.values()
    )
    assert found['flops']['each'] == sum(task['flops'] for task in found['tasks'].values())
    assert found['params']['each'] == sum(task['params'] for task in found['tasks'].values())
    assert found['params']['one'] == opened.counts.with_totals()['total']
    assert set(found['ms']) == {'one', 'each'} and min(found['ms'].values()) > 0


def test_trained_alone_a_task_has_the_architecture_that_was_chosen(done):
    folder, deposit, *_ = done
    for task, spec in Deposit(deposit).joint.items():
        cfg = Config.fromfile(folder / 'alone' / task / CONFIG.name)
        assert cfg.to_dict()['joint_spec'] == {task: spec.to_dict()}


@pytest.mark.slow
def test_two_trainings_at_a_time_are_those_of_one(joint, done, tmp_path):
    folder, _, _, alone = done
    stages = Stages(tmp_path, EXPECTED)
    spec = folder / 'search' / 'joint_spec.json'
    again = train_alone(joint, spec, stages, processes=2)
    for task, metrics in alone.items():
        assert again[task] == pytest.approx(metrics, rel=1e-5), task


def test_answers_are_drawn_and_the_comparison_is_printed(done, tmp_path, capsys):
    _, deposit, found, _ = done
    plot_dense_answers(deposit, tmp_path / 'answers.png', images=2, width=64)
    sheet = np.asarray(Image.open(tmp_path / 'answers.png'))
    # Of each image a row with it and all labels, and one of all answers, with names above.
    assert sheet.shape == (2 * 2 * (48 + 24), 5 * (64 + 4), 3) and sheet.std() > 20
    print_comparison(found, dict(joint=60.0))
    text = capsys.readouterr().out
    for task in TASKS:
        assert task in text
    assert 'Delta_T' in text and '1.0 minutes' in text
