"""A search on a real supernet: within its budget, resumable, and refused before it has begun."""

import json

import pytest
import torch
from helpers import (
    TASKS,
    build_runner,
    call_tool,
    joint_config,
    read_json,
    refusal_of_tool,
    write_config,
)

from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.search import check_search, parse_budget, run_search, smallest_total
from mdl_nas_mm.search import run as run_module
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import resolve_joint_config

EVOLUTION = dict(population=4, generations=2, parents=2, crossovers=1, mutations=2)
FILES = ('history.jsonl', 'joint_spec.json')


class Stop(Exception):
    pass


@pytest.fixture(scope='module')
def supernet(data, tmp_path_factory, quick_mmengine):
    folder = tmp_path_factory.mktemp('supernet')
    cfg = joint_config(data, changes={'train_cfg.max_iters': 1})
    cfg.val_cfg = None
    build_runner(cfg, folder).train()
    return folder / 'iter_1.pth'


def with_search(data, budget, **settings):
    cfg = joint_config(data)
    cfg.search_cfg = dict(budget=budget, evolution=EVOLUTION, **settings)
    return cfg


@pytest.fixture(scope='module')
def least(data, supernet):
    """The smallest joint spec and its total."""
    model = load_supernet(resolve_joint_config(joint_config(data)), supernet)
    ledger = model.backbone.ledger(model.head_sizes())
    return smallest_total(model.backbone.space, ledger, TASKS)


@pytest.fixture(scope='module')
def cfg(data, least):
    return resolve_joint_config(with_search(data, int(least[1] * 1.2)))


@pytest.fixture(scope='module')
def whole(cfg, supernet, tmp_path_factory, quick_mmengine):
    """The uninterrupted search: its folder and what it returned."""
    folder = tmp_path_factory.mktemp('search')
    return folder, run_search(cfg, supernet, folder)


def test_result_fits_the_budget_and_is_what_the_file_says(cfg, supernet, whole):
    folder, result = whole
    report = read_json(folder / 'joint_spec.json')
    assert result.total <= cfg.search_cfg.budget == report['budget']
    assert JointSpec.from_dict(report['joint_spec']) == result.best
    assert report['scores'] == result.scores and set(result.scores) == set(TASKS)
    assert report['total'] == result.total and report['s_score'] == result.score
    assert len(report['generations']) == EVOLUTION['generations']
    model = load_supernet(cfg, supernet)
    counts = model.backbone.ledger(model.head_sizes()).count(result.best)
    assert counts.total == result.total
    model.backbone.space.check_joint(result.best, TASKS)


def test_history_has_every_evaluation_with_its_metrics(whole):
    folder, result = whole
    header, *lines = map(json.loads, (folder / 'history.jsonl').read_text().splitlines())
    assert set(header) == {'fingerprint'}
    assert len(lines) == result.log[-1]['evaluations'] > len(TASKS) * 4
    names = dict(cls='accuracy/top1', det='coco/bbox_mAP', seg='mIoU')
    best = {}
    for line in lines:
        task, score = line['task'], line['score']
        value = line['metrics'][names[task]]
        assert score == pytest.approx(100 * value if task == 'det' else value)
        if line['spec'] == result.best[task].to_dict():
            best[task] = score
    assert best == result.scores


@pytest.mark.parametrize('stop', [0, 1, 7, 13])
def test_interrupted_search_ends_like_the_uninterrupted(cfg, supernet, whole, tmp_path, stop):
    folder, result = whole
    with pytest.MonkeyPatch.context() as patch:
        evaluations = counted(patch, stop)
        with pytest.raises(Stop):
            run_search(cfg, supernet, tmp_path)
        assert len(evaluations) == stop
    assert not (tmp_path / 'joint_spec.json').exists()
    with pytest.MonkeyPatch.context() as patch:
        evaluations = counted(patch)
        assert run_search(cfg, supernet, tmp_path) == result
        assert len(evaluations) == result.log[-1]['evaluations'] - stop
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def counted(patch, stop=None):
    """Evaluations from now on; raises instead of giving number ``stop``."""
    done, evaluate = [], run_module.SupernetEvaluator.__call__

    def counting(self, task, spec):
        if len(done) == stop:
            raise Stop
        done.append((task, spec))
        return evaluate(self, task, spec)

    patch.setattr(run_module.SupernetEvaluator, '__call__', counting)
    return done


def test_finished_search_evaluates_nothing_again(cfg, supernet, whole, tmp_path, monkeypatch):
    folder, result = whole
    for name in FILES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    evaluations = counted(monkeypatch)
    assert run_search(cfg, supernet, tmp_path) == result
    assert not evaluations


def test_a_seed_gives_another_search(data, supernet, whole, cfg, tmp_path):
    other = resolve_joint_config(with_search(data, cfg.search_cfg.budget, seed=1))
    run_search(other, supernet, tmp_path)
    assert (tmp_path / 'history.jsonl').read_bytes() != (whole[0] / 'history.jsonl').read_bytes()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            {'tasks.det.score': 'coco/segm_mAP'},
            "scores.det is 'coco/bbox_mAP', expected 'coco/segm",
        ),
        (
            {'tasks.cls.search_dataloader.dataset.data_prefix': 'val'},
            "data.cls.dataset.data_prefix is 'search', expected 'val'",
        ),
    ],
    ids=['another metric', 'another split'],
)
def test_history_of_another_search_is_not_mixed_in(data, cfg, supernet, whole, change, message):
    other = with_search(data, cfg.search_cfg.budget)
    other.merge_from_dict(change)
    before = (whole[0] / 'history.jsonl').read_bytes()
    with pytest.raises(ValueError, match=message):
        run_search(resolve_joint_config(other), supernet, whole[0])
    assert (whole[0] / 'history.jsonl').read_bytes() == before


def test_history_of_another_supernet_is_not_mixed_in(data, cfg, supernet, whole, tmp_path):
    checkpoint = torch.load(supernet, weights_only=False)
    checkpoint['state_dict']['backbone.norm.bias'] += 1
    torch.save(checkpoint, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='is of another search: checkpoint is'):
        run_search(cfg, tmp_path / 'other.pth', whole[0])


def test_budget_below_the_smallest_total_is_refused_before_any_evaluation(
    data, supernet, least, tmp_path, monkeypatch
):
    evaluations, total = counted(monkeypatch), least[1]
    short = resolve_joint_config(with_search(data, total - 1))
    message = (
        f'the budget of {total - 1:,} parameters is below the smallest possible total, {total:,}'
    )
    with pytest.raises(ValueError, match=message):
        run_search(short, supernet, tmp_path)
    assert not evaluations and not (tmp_path / 'joint_spec.json').exists()
    # Without mask scores it is known before the supernet is trained.
    with pytest.raises(ValueError, match=message):
        check_search(short)
    check_search(resolve_joint_config(with_search(data, total)))


def test_smallest_budget_gives_the_smallest_joint_spec(data, supernet, least, tmp_path):
    result = run_search(resolve_joint_config(with_search(data, least[1])), supernet, tmp_path)
    assert result.total == least[1]


def test_budget_may_leave_the_heads_out(data, supernet, least, tmp_path, monkeypatch):
    model = load_supernet(resolve_joint_config(joint_config(data)), supernet)
    total = least[1] - sum(model.head_sizes().values())
    cfg = resolve_joint_config(with_search(data, total, with_heads=False))
    assert run_search(cfg, supernet, tmp_path).total == total
    cfg.search_cfg.budget = total - 1
    with pytest.raises(ValueError, match=f'smallest possible total, {total:,}'):
        run_search(cfg, supernet, tmp_path)


@pytest.mark.parametrize(
    ('budget', 'parameters'),
    [
        (235_000_000, 235_000_000),
        ('235M', 235_000_000),
        (' 235_000K ', 235_000_000),
        ('1.5G', 1_500_000_000),
        ('2e6', 2_000_000),
        (1.7e6, 1_700_000),
        ('17', 17),
    ],
)
def test_budgets_that_are_understood(budget, parameters):
    assert parse_budget(budget) == parameters


@pytest.mark.parametrize(
    'budget', ['', 'M', '-5', '0', '5 MB', '1.2.3M', 'many', '5m', None, '1e999', 0.5, 'nan']
)
def test_budgets_that_are_refused(budget):
    with pytest.raises(ValueError, match=f'budget {budget!r}: expected parameters, such as 235M'):
        parse_budget(budget)


@pytest.mark.parametrize(
    ('search_cfg', 'message'),
    [
        (None, "search_cfg: 'budget', .* is missing"),
        (dict(evolution=EVOLUTION), "search_cfg: 'budget', .* is missing"),
        (dict(budget='1M', evolution=dict(size=5)), "evolution: unknown key 'size', expected"),
        (dict(budget='1M', evolution=dict(population=0)), 'population is 0, expected at least 1'),
        (dict(budget='1M', evolution=dict(population=3)), 'are more than the population of 3'),
    ],
    ids=str,
)
def test_settings_that_are_refused(data, supernet, tmp_path, search_cfg, message):
    cfg = joint_config(data)
    cfg.search_cfg = search_cfg
    cfg = resolve_joint_config(cfg)
    for refusing in (lambda: run_search(cfg, supernet, tmp_path), lambda: check_search(cfg)):
        with pytest.raises(ValueError, match=message):
            refusing()
    assert not list(tmp_path.iterdir())


def test_evaluator_that_lacks_the_score_is_named(data, supernet, tmp_path):
    cfg = with_search(data, '1M')
    cfg.tasks.seg.score = 'mDice'
    with pytest.raises(ValueError, match=r"task 'seg': its evaluator gives no metric 'mDice'"):
        run_search(resolve_joint_config(cfg), supernet, tmp_path)


def test_search_tool(data, cfg, supernet, whole, tmp_path, monkeypatch, capsys):
    """Its result is the same as from Python; its refusals are one line."""
    path = write_config(with_search(data, 1), tmp_path / 'mine.py')
    arguments = [path, '--checkpoint', supernet, '--work-dir', tmp_path / 'out']
    message = refusal_of_tool(monkeypatch, 'search', *arguments)
    assert message.startswith('error: search: the budget of 1 parameters is below')
    assert refusal_of_tool(monkeypatch, 'search', *arguments, '--budget', 'much').startswith(
        "error: budget 'much': expected"
    )
    call_tool(monkeypatch, 'search', *arguments, '--budget', cfg.search_cfg.budget)
    assert f'{whole[1].total:,} parameters' in capsys.readouterr().out
    found = (tmp_path / 'out' / 'joint_spec.json').read_bytes()
    assert found == (whole[0] / 'joint_spec.json').read_bytes()
