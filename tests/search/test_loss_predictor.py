"""Losses of random architectures: measured, kept, learned, predicted, and searched with."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from image_group import saved_supernet
from refusals import raises_naming
from scipy import stats
from torch import nn

from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.registry import SEARCH_SCORES
from mdl_nas_mm.search.columns import JointColumns
from mdl_nas_mm.search.loss_files import appending, read_losses
from mdl_nas_mm.search.loss_predictor import LossPredictor, PredictorSettings
from mdl_nas_mm.search.loss_samples import measure_losses
from mdl_nas_mm.search.losses import LossEvaluator
from mdl_nas_mm.tasks import task_scope


@pytest.fixture(scope='module')
def supernet(tmp_path_factory):
    """A resolved config of an image group and a task of its own, and a checkpoint."""
    return saved_supernet(tmp_path_factory.mktemp('losses'))


@torch.no_grad()
def test_losses_are_those_of_each_tasks_own_images(supernet):
    """Against the task's model alone on its own loader, image by image."""
    cfg, path = supernet
    model = load_supernet(cfg, path)
    evaluate, space = LossEvaluator(model, cfg), model.backbone.space
    columns = JointColumns(model.spaces)
    for spec in (space.smallest(), space.largest()):
        joint = dict.fromkeys(cfg.tasks, spec)
        found = evaluate(joint)
        for task in cfg.tasks:
            group = next(group for group in evaluate.norms if task in group)
            subnets = model.subnets({name: spec for name in group})
            losses = []
            with evaluate.norms[group].applied(subnets), task_scope('mmseg'):
                own = cfg.tasks[task]
                split = replace(own.search, dataloader=dict(own.search.dataloader, batch_size=1))
                for batch in own.evaluation(split).loader:
                    data = subnets[task].data_preprocessor(batch, True)
                    total, _ = subnets[task].parse_losses(subnets[task](**data, mode='loss'))
                    losses.append(float(total))
            assert found[task] == pytest.approx(np.mean(losses), rel=1e-4)
        # The same again: nothing of an architecture is left behind.
        assert evaluate(joint) == found
    assert (
        columns.row(dict.fromkeys(cfg.tasks, space.largest())).tolist()
        == (columns.choices - 1).tolist()
    )


def test_a_measurement_goes_on_where_it_was(supernet, tmp_path):
    columns, rows, losses = measure_losses(*supernet, tmp_path, samples=5, seed=1)
    assert rows[:2].tolist() == [(columns.choices - 1).tolist(), [0] * len(columns)]
    assert losses.shape == (5, 3) and np.isfinite(losses).all()
    file = tmp_path / 'losses.0.jsonl'
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    # Cut short by a kill, and what is left in the file of another process.
    file.write_bytes(b''.join(lines[:3]) + lines[3][:7])
    (tmp_path / 'losses.1.jsonl').write_bytes(lines[0] + lines[5])
    again = measure_losses(*supernet, tmp_path, samples=5, seed=1)
    np.testing.assert_array_equal(again[2], losses)
    assert file.read_bytes() == b''.join(lines[:5])
    more = measure_losses(*supernet, tmp_path, samples=6, seed=1)
    np.testing.assert_array_equal(more[1][:5], rows)
    np.testing.assert_array_equal(more[2][:5], losses)
    with raises_naming(ValueError, 'losses.0.jsonl', 'seed'):
        measure_losses(*supernet, tmp_path, samples=5, seed=2)
    # The samples are of other architectures where the tasks are in another order.
    header = json.loads(lines[0])
    for tasks in (dict(tasks=header['tasks'][::-1]), {}):
        other = {k: v for k, v in header.items() if k != 'tasks'} | tasks
        file.write_bytes(json.dumps(other).encode() + b'\n' + lines[1])
        with raises_naming(ValueError, 'losses.0.jsonl', 'tasks'):
            measure_losses(*supernet, tmp_path, samples=5, seed=1)
    file.write_bytes(lines[0] + b'{"sample": 0}\n')
    with raises_naming(ValueError, 'losses.0.jsonl', 'damaged'):
        measure_losses(*supernet, tmp_path, samples=5, seed=1)


def test_two_measurements_do_not_write_one_file(tmp_path):
    """Neither cuts off the other's line, and what the first one has written is whole."""
    file, header = tmp_path / 'losses.0.jsonl', dict(seed=0)
    with appending(file, header) as write:
        write(dict(sample=0, losses=dict(cls=1.0)))
        with raises_naming(ValueError, 'losses.0.jsonl'):
            with appending(file, header):
                pass
        write(dict(sample=1, losses=dict(cls=2.0)))
    assert read_losses(file, header, ['cls']) == {0: dict(cls=1.0), 1: dict(cls=2.0)}
    assert [path.name for path in tmp_path.iterdir()] == ['losses.0.jsonl']


def test_without_images_to_measure_on(supernet, tmp_path):
    cfg, path = supernet
    model = load_supernet(cfg, path)
    cfg = copy.deepcopy(cfg)
    cfg.search_dataloader = cfg.search_evaluator = None
    cfg.tasks['seg'].__dict__['search'] = None
    with raises_naming(ValueError, "'alone'", 'search_dataloader'):
        LossEvaluator(model, cfg)


@pytest.fixture(scope='module')
def learned(supernet):
    """A predictor of losses that a formula gives."""
    cfg, path = supernet
    columns = JointColumns(load_supernet(cfg, path).spaces)
    rows = columns.sample(400, np.random.default_rng(0))
    encoded = columns.encoded(rows)
    losses = np.stack([5 - encoded.sum(1), 300 + 40 * encoded[:, 0], encoded.mean(1) ** 2], 1)
    settings = PredictorSettings(epochs=40)
    return columns, rows, losses, LossPredictor.fit(columns, rows, losses, settings)


def test_it_predicts_what_it_has_not_seen_and_says_how_well(learned):
    columns, rows, losses, predictor = learned
    for i, task in enumerate(columns.spaces):
        own = predictor.about['held_out'][task]
        assert own['samples'] == 40
        assert own['error'] < 0.25 * losses[:, i].std()
        assert own['kendall'] > 0.7 and own['spearman'] > 0.85
    # A tenth of a permutation by the seed.
    unseen = np.random.default_rng(0).permutation(400)[:40]
    predicted = predictor(columns.encoded(rows[unseen]))
    for i, task in enumerate(columns.spaces):
        own, pair = predictor.about['held_out'][task], (losses[unseen, i], predicted[:, i])
        assert own['error'] == pytest.approx(np.mean(np.abs(pair[0] - pair[1])))
        assert own['kendall'] == pytest.approx(stats.kendalltau(*pair).statistic)
        assert own['spearman'] == pytest.approx(stats.spearmanr(*pair).statistic)
    again = LossPredictor.fit(*learned[:3], PredictorSettings(epochs=40))
    assert all(torch.equal(again.weights[name], predictor.weights[name]) for name in again.weights)


def test_it_learns_nothing_of_what_is_held_out(learned):
    columns, rows, losses, _ = learned
    others = losses.copy()
    others[np.random.default_rng(0).permutation(400)[:40]] *= 7
    first, second = (
        LossPredictor.fit(columns, rows, each, PredictorSettings(epochs=1))
        for each in (losses, others)
    )
    assert all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)
    assert first.about['held_out'] != second.about['held_out']


def test_it_is_algorithm_3_with_one_last_layer(learned):
    """Its numbers are those of a module with a linear layer a task."""
    columns, rows, _, predictor = learned
    body = nn.Sequential(
        *(nn.Linear(len(columns), 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU()),
        *(nn.Linear(100, 50), nn.ReLU()),
    )
    weights = predictor.weights
    body.load_state_dict({name: weights[name] for name in body.state_dict()})
    encoded = columns.encoded(rows[:7])
    found = predictor(encoded)
    with torch.no_grad():
        features = body(torch.from_numpy(encoded))
        for i in range(3):
            head = nn.Linear(50, 1)
            head.weight.copy_(weights['6.weight'][i : i + 1])
            head.bias.copy_(weights['6.bias'][i : i + 1])
            own = head(features)[:, 0].double() * weights['scale'][i] + weights['mean'][i]
            np.testing.assert_allclose(found[:, i], own, rtol=1e-5, atol=1e-5)
    body_size = sum(p.numel() for p in body.parameters())
    assert body_size == 100 * len(columns) + 15_250
    assert predictor.parameters == body_size + 3 * 51


def test_a_file_of_it_is_small_and_checked(learned, tmp_path):
    columns, rows, _, predictor = learned
    path = tmp_path / 'predictor.safetensors'
    predictor.save(path)
    assert path.stat().st_size < 150_000
    loaded = LossPredictor.load(path)
    encoded = columns.encoded(rows)
    np.testing.assert_array_equal(loaded(encoded), predictor(encoded))
    assert loaded.about == json.loads(json.dumps(predictor.about))
    loaded.check(columns)
    spaces = columns.spaces
    with raises_naming(ValueError, 'seg', 'parts'):
        loaded.check(JointColumns({'seg': spaces['seg']}))
    loaded.about['columns']['encoder'][0][3][0] *= 2
    with raises_naming(ValueError, 'another space', 'encoder'):
        loaded.check(columns)
    with raises_naming(FileNotFoundError, 'absent'):
        LossPredictor.load(tmp_path / 'absent')
    for damage in (b'', path.read_bytes()[:-50], b'x' * 100):
        path.write_bytes(damage)
        with raises_naming(ValueError, str(path)):
            LossPredictor.load(path)
    with raises_naming(ValueError, '19', '20'):
        LossPredictor.fit(columns, rows[:19], np.zeros((19, 3)))


def test_it_is_a_score_of_a_search(learned, tmp_path):
    columns, _, _, predictor = learned
    path = tmp_path / 'predictor.safetensors'
    predictor.save(path)
    config = dict(type='LossPredictorScore', file=str(path), finalists=2)
    score = SEARCH_SCORES.build(dict(config, spaces=columns.spaces))
    rows = columns.sample(5, np.random.default_rng(3))
    pairs = [('parts', columns.joint(row)['parts']) for row in rows]
    pairs += [('seg', columns.joint(rows[0])['seg'])]
    losses = predictor(columns.encoded(rows))
    order = list(columns.spaces)
    expected = [*-losses[:, order.index('parts')], -losses[0, order.index('seg')]]
    assert score(pairs) == pytest.approx(expected)
    assert score.describe()['held_out'] == predictor.about['held_out']
