"""A search on a real supernet: within its budget, resumable, and refused before it has begun."""

import copy
import io
import json
import math
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import (
    SPACE,
    TASKS,
    build_runner,
    call_tool,
    joint_config,
    read_json,
    refusal_of_tool,
    write_config,
)
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmseg.evaluation import IoUMetric
from refusals import assert_names, raises_naming

from mdl_nas_mm.elastic.latency_table import LatencyTable, Timing
from mdl_nas_mm.engine.checkpoint import load_supernet, read_checkpoint
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.search import (
    EvolutionSettings,
    ParameterCost,
    check_search,
    choose_again,
    parse_budget,
    run_search,
    smallest_total,
)
from mdl_nas_mm.search import run as run_module
from mdl_nas_mm.search.evolution import SearchFailed
from mdl_nas_mm.search.plan import SearchPlan
from mdl_nas_mm.search.problem import SearchProblem
from mdl_nas_mm.tasks import resolve_joint_config, task_scope
from mdl_nas_mm.utils.files import held, write_json
from mdl_nas_mm.visualization import search_hook as hook_module
from mdl_nas_mm.visualization import write_report

EVOLUTION = dict(population=4, generations=2, parents=2, crossovers=1, mutations=2)
FILES = ('history.jsonl', 'joint_spec.json', 'front.json')


class Stop(BaseException):
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
    cfg.search_cfg = dict(dict(budget=budget, evolution=EVOLUTION), **settings)
    return cfg


@pytest.fixture(scope='module')
def least(data, supernet):
    """The smallest joint spec and its total."""
    model = load_supernet(resolve_joint_config(joint_config(data)), supernet)
    ledger = model.backbone.ledger(model.head_sizes())
    return smallest_total(dict.fromkeys(TASKS, model.backbone.space), ParameterCost(ledger))


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
    assert TRANSFORMER.read_joint(report['joint_spec']) == result.best
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

    def counting(self, specs):
        if len(done) == stop:
            raise Stop
        done.append(specs)
        return evaluate(self, specs)

    patch.setattr(run_module.SupernetEvaluator, '__call__', counting)
    return done


def test_finished_search_evaluates_nothing_again(cfg, supernet, whole, tmp_path, monkeypatch):
    folder, result = whole
    for name in FILES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    evaluations = counted(monkeypatch)
    assert run_search(cfg, supernet, tmp_path) == result
    assert not evaluations


def test_what_ranks_had_evaluated_is_not_lost_with_them(
    cfg, supernet, whole, tmp_path, monkeypatch
):
    """A search of several processes that goes on in one reads their files, and removes them."""
    folder, result = whole
    header, *lines = (folder / 'history.jsonl').read_text().splitlines(keepends=True)
    (tmp_path / 'history.jsonl').write_text(header + ''.join(lines[:2]))
    for rank in (0, 11):
        part = header + ''.join(lines[2 + rank % 2 : -1 : 2])
        (tmp_path / f'history.rank{rank}.jsonl').write_text(part)
    evaluations = counted(monkeypatch)
    assert run_search(cfg, supernet, tmp_path) == result
    assert len(evaluations) == 1
    assert not list(tmp_path.glob('history.rank*'))
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_it_starts_from_given_architectures(data, supernet, tmp_path):
    """Their scores are in the history first; a random search beside it starts from nothing."""
    arch = dict(embed_dim=24, depth=2, num_heads=1, mlp_ratio=2, share_ratio=0.3)
    other = with_search(data, '1G', start=dict.fromkeys(TASKS, arch), random_baseline=True)
    other.search_cfg.evolution.generations = 1
    result = run_search(resolve_joint_config(other), supernet, tmp_path)
    spec = TRANSFORMER.read(arch)
    assert result.candidates[0].joint == dict.fromkeys(TASKS, spec)
    assert read_json(tmp_path / 'report.json')['random']


def test_tied_tasks_that_start_apart_are_said(data, supernet, tmp_path, monkeypatch):
    """They cannot: the first one's architecture is that of all."""
    arch = dict(embed_dim=24, depth=2, num_heads=1, mlp_ratio=2, share_ratio=0.3)
    start = dict.fromkeys(TASKS, arch) | dict(det=dict(arch, embed_dim=16))
    other = with_search(data, '1G', start=start, tied='all')
    other.search_cfg.evolution.generations = 1
    said: list[str] = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', said.append)
    result = run_search(resolve_joint_config(other), supernet, tmp_path)
    assert result.candidates[0].joint == dict.fromkeys(TASKS, TRANSFORMER.read(arch))
    (line,) = (line for line in said if 'search_cfg.start' in line)
    assert_names(line, 'det')
    assert 'cls' not in line and 'seg' not in line


def test_a_seed_gives_another_search(data, supernet, whole, cfg, tmp_path):
    other = resolve_joint_config(with_search(data, cfg.search_cfg.budget, seed=1))
    run_search(other, supernet, tmp_path)
    assert (tmp_path / 'history.jsonl').read_bytes() != (whole[0] / 'history.jsonl').read_bytes()


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        (
            {'tasks.det.score': 'coco/segm_mAP'},
            ('scores.det', "'coco/bbox_mAP'", "'coco/segm_mAP'"),
        ),
        (
            {'tasks.cls.search_dataloader.dataset.data_prefix': 'val'},
            ('data.cls.dataset.data_prefix', "'search'", "'val'"),
        ),
        (
            {'tasks.det.model.test_cfg.rcnn.score_thr': 0.9},
            ('models.det.model.test_cfg.rcnn.score_thr', 0.9),
        ),
        ({'recalibrate_images': 4}, ('recalibrate_images', 0, 4)),
    ],
    ids=['another metric', 'another split', 'another test setting', 'other statistics'],
)
def test_history_of_another_search_is_not_mixed_in(data, cfg, supernet, whole, change, named):
    other = with_search(data, cfg.search_cfg.budget)
    other.merge_from_dict(change)
    before = (whole[0] / 'history.jsonl').read_bytes()
    with raises_naming(ValueError, whole[0] / 'history.jsonl', *named):
        run_search(resolve_joint_config(other), supernet, whole[0])
    assert (whole[0] / 'history.jsonl').read_bytes() == before


def test_history_of_another_supernet_is_not_mixed_in(data, cfg, supernet, whole, tmp_path):
    checkpoint = torch.load(supernet, weights_only=False)
    checkpoint['state_dict']['backbone.norm.bias'] += 1
    torch.save(checkpoint, tmp_path / 'other.pth')
    with raises_naming(ValueError, whole[0] / 'history.jsonl', 'checkpoint'):
        run_search(cfg, tmp_path / 'other.pth', whole[0])


def test_one_search_at_a_time_in_a_folder(cfg, supernet, whole, tmp_path):
    """Whatever kind it is; what a killed one leaves is no lock."""
    lock = tmp_path / '.search.lock'
    lock.touch()
    with held(lock, ''):
        for search in (
            lambda: run_search(cfg, supernet, tmp_path),
            lambda: choose_again(whole[0] / 'history.jsonl', cfg.search_cfg.budget, tmp_path),
        ):
            with raises_naming(ValueError, 'process', tmp_path):
                search()
        assert [path.name for path in tmp_path.iterdir()] == [lock.name]
    lock.touch()
    choose_again(whole[0] / 'history.jsonl', cfg.search_cfg.budget, tmp_path)
    assert not lock.exists()


def test_budget_below_the_smallest_total_is_refused_before_any_evaluation(
    data, supernet, least, tmp_path, monkeypatch
):
    evaluations, total = counted(monkeypatch), least[1]
    short = resolve_joint_config(with_search(data, total - 1))
    named = ('budget', f'{total - 1:,}', f'{total:,}')
    with raises_naming(ValueError, *named):
        run_search(short, supernet, tmp_path)
    assert not evaluations and not (tmp_path / 'joint_spec.json').exists()
    # Without mask scores it is known before the supernet is trained.
    with raises_naming(ValueError, *named):
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
    with raises_naming(ValueError, 'budget', f'{total - 1:,}', f'{total:,}'):
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
    with raises_naming(ValueError, f'budget {budget!r}', '235M'):
        parse_budget(budget)


@pytest.mark.parametrize(
    ('search_cfg', 'named'),
    [
        (None, ('search_cfg', "'budget'")),
        (dict(evolution=EVOLUTION), ('search_cfg', "'budget'")),
        (dict(budget='1M', evolution=dict(size=5)), ('evolution', "'size'", "'population'")),
        (dict(budget='1M', evolution=dict(population=0)), ('population', 0)),
        (dict(budget='1M', evolution=dict(population=3)), ('crossovers', 'mutations', 3)),
        (dict(budget='1G', start=dict(cls=dict(embed_dim=5))), ('search_cfg.start', 'num_heads')),
        (dict(budget='1G', answers='many'), ('search_cfg', 'answers', 'many')),
        (dict(budget='1G', start={}), ('search_cfg.start', 'each task')),
    ],
    ids=str,
)
def test_settings_that_are_refused(data, supernet, tmp_path, search_cfg, named):
    cfg = joint_config(data)
    cfg.search_cfg = search_cfg
    cfg = resolve_joint_config(cfg)
    for refusing in (lambda: run_search(cfg, supernet, tmp_path), lambda: check_search(cfg)):
        with raises_naming(ValueError, *named):
            refusing()
    assert not list(tmp_path.iterdir())


def test_evaluator_that_lacks_the_score_is_named(data, supernet, tmp_path):
    cfg = with_search(data, '1M')
    cfg.tasks.seg.score = 'mDice'
    with raises_naming(ValueError, "'seg'", "'mDice'", "'mIoU'"):
        run_search(resolve_joint_config(cfg), supernet, tmp_path)


def test_search_tool(data, cfg, supernet, whole, tmp_path, monkeypatch, capsys):
    """Its result is the same as from Python; its refusals are one line."""
    path = write_config(with_search(data, 1), tmp_path / 'mine.py')
    arguments = [path, '--checkpoint', supernet, '--work-dir', tmp_path / 'out']
    assert_names(refusal_of_tool(monkeypatch, 'search', *arguments), 'search', 'budget', 1)
    much = refusal_of_tool(monkeypatch, 'search', *arguments, '--budget', '5ms')
    assert_names(much, "budget '5ms'")
    call_tool(monkeypatch, 'search', *arguments, '--budget', cfg.search_cfg.budget)
    assert f'{whole[1].total:,} parameters' in capsys.readouterr().out
    found = (tmp_path / 'out' / 'joint_spec.json').read_bytes()
    assert found == (whole[0] / 'joint_spec.json').read_bytes()


def test_front_holds_the_best_of_every_budget(whole):
    folder, result = whole
    front = read_json(folder / 'front.json')
    totals, scores = ([point[key] for point in front] for key in ('total', 's_score'))
    assert totals == sorted(set(totals)) and scores == sorted(set(scores))
    fitting = [point for point in front if point['total'] <= result.total]
    assert fitting[-1]['s_score'] == result.score


def test_report_counts_what_was_chosen(cfg, supernet, whole):
    folder, result = whole
    report = read_json(folder / 'report.json')
    model = load_supernet(cfg, supernet)
    counts = model.backbone.ledger(model.head_sizes()).count(result.best)
    assert report['counts']['shared'] == counts.shared
    assert report['counts']['total'] == counts.total == report['chosen']['total']
    for task in TASKS:
        assert sum(layer['specific'] for layer in report['layers'][task]) == counts.specific[task]
    assert report['evaluations'] == result.log[-1]['evaluations']
    assert report['random'] is None and report['failed'] == []
    run = report['run']
    assert run['checkpoint'] == str(supernet) and run['seed'] == cfg.search_cfg.get('seed', 0)
    assert 'torch' in run['versions'] and run['date'] and run['command']
    # Of those too whose pipeline names no size.
    assert set(report['flops']) == set(report['input_sizes']) == {*TASKS}
    for task, size in report['input_sizes'].items():
        assert report['flops'][task] == model.backbone.flops(task, result.best[task], size)
    assert report['others'] and set(report['answers']) == {*TASKS}
    for files in report['answers'].values():
        assert files and all((folder / file).is_file() for file in files)


def test_another_budget_costs_no_evaluation(whole, tmp_path, monkeypatch):
    """Each point of the front is found again from the history alone; below it nothing is."""
    folder, _ = whole
    evaluations = counted(monkeypatch)
    front = read_json(folder / 'front.json')
    for point in front:
        for slack in (0, 1):
            chosen = choose_again(folder / 'history.jsonl', point['total'] + slack, tmp_path)
            assert (chosen.score, chosen.total) == (point['s_score'], point['total'])
            assert read_json(tmp_path / 'joint_spec.json')['joint_spec'] == point['joint_spec']
    least = front[0]['total']
    with raises_naming(ValueError, f'{least - 1:,} parameters', f'{least:,}'):
        choose_again(folder / 'history.jsonl', least - 1, tmp_path)
    with raises_naming(FileNotFoundError, tmp_path / 'none.jsonl'):
        choose_again(tmp_path / 'none.jsonl', least, tmp_path)
    assert not evaluations


@pytest.mark.parametrize('content', ['{}', '[]', '{"plan": {"budget": 1}, "excluded": []}', '{'])
def test_a_damaged_plan_is_named(whole, tmp_path, content):
    (tmp_path / 'history.jsonl').write_bytes((whole[0] / 'history.jsonl').read_bytes())
    (tmp_path / 'search.json').write_text(content)
    with raises_naming(ValueError, tmp_path / 'search.json'):
        choose_again(tmp_path / 'history.jsonl', 10**9, tmp_path / 'again')


def test_another_budget_from_the_shell(whole, tmp_path, monkeypatch, capsys):
    folder, result = whole
    arguments = ['--from', folder / 'history.jsonl', '--budget', result.total]
    call_tool(monkeypatch, 'search', *arguments, '--work-dir', tmp_path)
    assert f'{result.total:,} parameters' in capsys.readouterr().out
    assert (tmp_path / 'report.html').is_file()
    says = refusal_of_tool(monkeypatch, 'search', *arguments[:2], '--budget', 7)
    assert_names(says, 'joint spec', '7 parameters')


def test_a_mask_supernet_keeps_its_scores_for_later(data, tmp_path, quick_mmengine):
    """The ledger of another budget needs them, the history does not have them."""
    cfg = joint_config(data, 'Mask', {'train_cfg.max_iters': 1})
    cfg.val_cfg = None
    build_runner(cfg, tmp_path / 'supernet').train()
    cfg.search_cfg = dict(budget='1G', evolution=dict(EVOLUTION, generations=1))
    supernet = tmp_path / 'supernet' / 'iter_1.pth'
    result = run_search(resolve_joint_config(cfg), supernet, tmp_path / 'search')
    again = (tmp_path / 'search' / 'history.jsonl', result.total, tmp_path / 'again')
    chosen = choose_again(*again)
    assert (chosen.joint, chosen.total) == (result.best, result.total)
    kept = tmp_path / 'search' / 'scores.npz'
    whole = kept.read_bytes()
    for content in (whole[:100], b'', packed(whole), huge(2**50), huge(2**33)):
        kept.write_bytes(content)
        with raises_naming(ValueError, kept, 'damaged'):
            choose_again(*again)


def packed(content):
    """The same arrays, compressed: a small file could unpack to any size."""
    file = io.BytesIO()
    with np.load(io.BytesIO(content)) as arrays:
        np.savez_compressed(file, **arrays)
    return file.getvalue()


def huge(size):
    """An array that says to have more numbers than are there."""
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        array, dict(descr='<f4', fortran_order=False, shape=(size,))
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('scores.npy', array.getvalue())
    return file.getvalue()


def test_processes_speak_as_the_config_says(cfg, supernet, tmp_path, monkeypatch):
    """As those of a training; several may have one GPU then."""
    started = []

    def start(*args):
        started.append(args)
        raise Stop

    monkeypatch.setattr(run_module, 'start_processes', start)
    gloo = copy.deepcopy(cfg)
    gloo.env_cfg = dict(dist_cfg=dict(backend='gloo'))
    for each in (cfg, gloo):
        with pytest.raises(Stop):
            run_search(each, supernet, tmp_path, 'pytorch')
    assert [(args[0], args[2]) for args in started] == [('pytorch', 'nccl'), ('pytorch', 'gloo')]


def test_random_baseline_has_as_many_evaluations(data, supernet, cfg, tmp_path):
    budget = cfg.search_cfg.budget
    other = resolve_joint_config(with_search(data, budget, random_baseline=True))
    result = run_search(other, supernet, tmp_path)
    report = read_json(tmp_path / 'report.json')
    evaluations = result.log[-1]['evaluations']
    assert evaluations - len(TASKS) < report['random'][-1]['evaluations'] <= evaluations
    assert report['random'][-1]['total'] <= budget


def test_one_failed_evaluation_is_named_and_passed_over(data, cfg, supernet, tmp_path, monkeypatch):
    """The first evaluation of a task finds nothing to measure."""
    measure, measured = IoUMetric.compute_metrics, []

    def nothing_at_first(self, results):
        measured.append(measure(self, results))
        return measured[-1] if len(measured) > 1 else {**measured[-1], 'mIoU': math.nan}

    monkeypatch.setattr(IoUMetric, 'compute_metrics', nothing_at_first)
    result = run_search(cfg, supernet, tmp_path)
    (failed,) = read_json(tmp_path / 'report.json')['failed']
    assert failed['task'] == 'seg'
    assert_names(failed['reason'], "'mIoU'", math.nan)
    bad = TRANSFORMER.read(failed['spec'])
    assert bad not in result.scored['seg'] and len(result.scored['seg']) == len(measured) - 1


def test_a_batch_that_is_too_large_for_the_gpu_is_halved(data, cfg, supernet, monkeypatch):
    model = load_supernet(cfg, supernet)
    evaluator = run_module.SupernetEvaluator(model, cfg)
    spec, seen = model.backbone.space.smallest(), []
    expected = evaluator({'cls': spec})
    kind = type(model.tasks['cls'])
    step = kind.val_step

    def limited(self, batch):
        seen.append(len(batch['inputs']))
        if seen[-1] > 2:
            raise torch.cuda.OutOfMemoryError('too much')
        return step(self, batch)

    monkeypatch.setattr(kind, 'val_step', limited)
    assert evaluator({'cls': spec}) == expected
    assert max(seen) > 2 and seen[-1] <= 2
    assert evaluator({'cls': spec}) == expected


def test_batch_norms_are_estimated_for_the_subnet_and_put_back(data, supernet, tmp_path):
    cfg = with_search(data, '1G')
    cfg.recalibrate_images = 4
    cfg.tasks.seg.model.decode_head.norm_cfg = dict(type='BN')
    cfg = resolve_joint_config(cfg)
    with task_scope('mdl_nas_mm'):
        model = MODELS.build(cfg.model)
    model.init_weights()
    evaluator = run_module.SupernetEvaluator(model.eval(), cfg)
    norms = [m for m in model.tasks['seg'].modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and evaluator.norms['seg',].batches and not evaluator.norms['cls',].batches
    before = [norm.running_mean.clone() for norm in norms]
    small, large = model.backbone.space.smallest(), model.backbone.space.largest()
    means = []
    for spec in (small, large, small):
        with evaluator.norms['seg',].applied({'seg': model.subnet('seg', spec)}):
            means.append(norms[0].running_mean.clone())
    assert torch.equal(means[0], means[2]) and not torch.equal(means[0], means[1])
    evaluator({'seg': small})
    # What upstream draws at random in a training pass does not depend on what was drawn before.
    head = model.tasks['seg'].decode_head
    noise = head.register_forward_pre_hook(lambda _, maps: [[m + torch.rand(1) for m in maps[0]]])
    means = []
    for seed in range(2):
        torch.manual_seed(seed)
        with evaluator.norms['seg',].applied({'seg': model.subnet('seg', small)}):
            means.append(norms[0].running_mean.clone())
    assert torch.equal(*means)
    noise.remove()
    head.forward = fail
    with pytest.raises(Stop):
        evaluator({'seg': small})
    for norm, mean in zip(norms, before):
        assert torch.equal(norm.running_mean, mean)
        assert norm.momentum == 0.1 and not norm.training


def fail(*_, **__):
    raise Stop


@pytest.mark.parametrize('images', [-1, 'many'])
def test_recalibration_with_no_number_of_images_is_refused(data, supernet, cfg, images):
    cfg, model = copy.deepcopy(cfg), load_supernet(cfg, supernet)
    cfg.recalibrate_images = images
    with raises_naming(ValueError, 'recalibrate_images', repr(images)):
        run_module.SupernetEvaluator(model, cfg)


def test_synchronised_batch_norms_are_plain_ones_in_a_search(data):
    cfg = with_search(data, '1G')
    cfg.tasks.seg.model.decode_head.norm_cfg = dict(type='SyncBN')
    cfg = resolve_joint_config(cfg)
    with task_scope('mdl_nas_mm'):
        model = MODELS.build(cfg.model)
    assert any(isinstance(m, torch.nn.SyncBatchNorm) for m in model.modules())
    evaluator = run_module.SupernetEvaluator(model, cfg)
    assert not any(isinstance(m, torch.nn.SyncBatchNorm) for m in evaluator.model.modules())
    assert evaluator({'seg': model.backbone.space.smallest()})['seg'].failure is None


@pytest.mark.parametrize('limit', ['flops', 'latency'])
def test_a_task_keeps_its_own_limit(data, supernet, cfg, tmp_path, limit):
    model = load_supernet(cfg, supernet)
    space, size = model.backbone.space, (20, 20)
    timing = Timing.of(model.backbone, 'det', size)
    values = {part: 1 + 0.01 * i for i, part in enumerate(timing.timed.all_parts(space))}
    table = LatencyTable(timing, values)
    table.save(tmp_path / 'table.json')
    measure = dict(
        flops=lambda spec: model.backbone.flops('det', spec, size), latency=table.predict
    )[limit]
    middle = (measure(space.smallest()) + measure(space.largest())) / 2
    settings = dict(
        flops=dict(flops=int(middle), input_size=size),
        latency=dict(latency=f'{middle}ms', table=str(tmp_path / 'table.json')),
    )[limit]
    other = with_search(data, '1G', constraints=dict(det=settings))
    result = run_search(resolve_joint_config(other), supernet, tmp_path / 'search')
    assert max(map(measure, result.scored['det'])) <= middle
    assert max(map(measure, result.scored['cls'])) > middle
    assert len(read_json(tmp_path / 'search' / 'report.json')['constraints']) == 1


def test_a_predictor_scores_and_the_supernet_says_what_is_best(
    data, supernet, tmp_path, monkeypatch
):
    """Stopped at its last evaluation and gone on, it ends in the same; a file of it serves too."""
    score = dict(type='PredictorScore', samples=16, finalists=3)
    evolution = dict(population=30, generations=4, crossovers=10, mutations=10)
    other = with_search(data, '1G', score=score, random_baseline=True)
    other.search_cfg.evolution = evolution
    other = resolve_joint_config(other)
    check_search(other)
    folder = tmp_path / 'search'
    result = run_search(other, supernet, folder)
    report = read_json(folder / 'report.json')
    assert report['evaluations'] <= 19 * len(TASKS) < result.log[-1]['evaluations']
    assert report['random'][-1]['evaluations'] <= report['evaluations']
    assert set(report['score']['held_out']) == set(TASKS)
    write_report(report, folder)
    found = {}
    for line in (folder / 'history.jsonl').read_text().splitlines()[1:]:
        entry = json.loads(line)
        found[entry['task'], json.dumps(entry['spec'])] = entry['score']
    assert result.scores == {t: found[t, json.dumps(s.to_dict())] for t, s in result.best.items()}
    stopped = tmp_path / 'stopped'
    other.search_cfg.random_baseline = False
    with pytest.MonkeyPatch.context() as patch:
        counted(patch, report['evaluations'] - 1)
        with pytest.raises(Stop):
            run_search(other, supernet, stopped)
    assert run_search(other, supernet, stopped) == result
    for name in FILES[1:]:
        assert (stopped / name).read_bytes() == (folder / name).read_bytes()
    learned = tmp_path / 'learned.safetensors'
    call_tool(monkeypatch, 'predictor', folder / 'history.jsonl', '--out', learned)
    other.search_cfg.score = dict(type='PredictorScore', file=str(learned), finalists=2)
    again = run_search(other, supernet, tmp_path / 'again')
    assert len((tmp_path / 'again' / 'history.jsonl').read_text().splitlines()) <= 1 + 2 * len(
        TASKS
    )
    assert again.score == sum(again.scores.values())


@pytest.mark.parametrize('unit', ['multiply-adds', 'microseconds'])
def test_a_budget_of_operations_or_of_time(data, supernet, tmp_path, unit):
    """One that the largest architectures exceed; another is chosen for from the files alone."""
    backbone = load_supernet(resolve_joint_config(joint_config(data)), supernet).backbone
    space, measures, tables = backbone.space, {}, {}
    for task, size in dict(cls=(16, 16), det=(20, 20), seg=(24, 24)).items():
        timing = Timing.of(backbone, task, size)
        values = {part: 1 + 0.01 * i for i, part in enumerate(timing.timed.all_parts(space))}
        table, tables[task] = LatencyTable(timing, values), str(tmp_path / f'{task}.json')
        table.save(tables[task])
        measures[task] = {
            'multiply-adds': lambda spec, task=task, size=size: backbone.flops(task, spec, size),
            'microseconds': lambda spec, table=table: round(1000 * table.predict(spec)),
        }[unit]
    low, high = (sum(m(s) for m in measures.values()) for s in (space.smallest(), space.largest()))
    middle, sizes = (low + high) // 2, dict(cls=[16, 16], det=[20, 20], seg=[24, 24])
    given, cost = {
        'multiply-adds': (middle, dict(type='FlopsCost', input_size=sizes)),
        'microseconds': (f'{middle / 1000}ms', dict(type='LatencyCost', tables=tables)),
    }[unit]
    cfg = resolve_joint_config(with_search(data, given, cost=cost))
    check_search(cfg)
    result = run_search(cfg, supernet, tmp_path / 'search')
    assert result.total == sum(measures[task](spec) for task, spec in result.best.items()) <= middle
    report = read_json(tmp_path / 'search' / 'report.json')
    assert (report['unit'], report['budget']) == (unit, middle)
    write_report(report, tmp_path / 'search')
    history, again = tmp_path / 'search' / 'history.jsonl', tmp_path / 'again'
    assert choose_again(history, given, again).joint == result.best
    for budget, named in ((1, '1ms')[unit == 'microseconds'], unit), ('much', "'much'"):
        with raises_naming(ValueError, named):
            choose_again(history, budget, again)
    cfg.search_cfg.with_heads = False
    with raises_naming(ValueError, "'with_heads'"):
        check_search(cfg)


def test_another_budget_keeps_the_limits_and_the_space(data, supernet, cfg, whole, tmp_path):
    """An earlier search in the same folder has evaluated what this one may not choose."""
    (tmp_path / 'history.jsonl').write_bytes((whole[0] / 'history.jsonl').read_bytes())
    backbone, size = load_supernet(cfg, supernet).backbone, (20, 20)
    counts = sorted(backbone.flops('det', spec, size) for spec in whole[1].scored['det'])
    limit = counts[len(counts) // 2]
    assert limit < counts[-1]
    settings = dict(det=dict(flops=limit, input_size=size))
    other = with_search(data, cfg.search_cfg.budget, constraints=settings)
    other.subspace = dict(SPACE, depth=1)
    run_search(resolve_joint_config(other), supernet, tmp_path)
    choose_again(tmp_path / 'history.jsonl', 10**9, tmp_path / 'again')
    for point in read_json(tmp_path / 'again' / 'front.json'):
        joint = TRANSFORMER.read_joint(point['joint_spec'])
        assert backbone.flops('det', joint['det'], size) <= limit
        assert joint['cls'].depth == 1


@pytest.mark.parametrize(
    ('constraints', 'named'),
    [
        (dict(pose=dict(flops='1G')), ('constraints.pose', "['cls', 'det', 'seg']")),
        (dict(det=dict(memory='1G')), ('constraints.det', "'memory'")),
        (dict(det=dict(flops='much')), ("constraints.det.flops 'much'", 'multiply-adds')),
        (dict(det=dict(latency='4ms')), ('constraints.det', 'latency', 'table')),
        (dict(det=dict(flops=5)), ('limit', 'det', '5 multiply-adds')),
        (dict(det='1G'), ('constraints.det', "'1G'")),
        (['det'], ('constraints', "['det']")),
    ],
    ids=str,
)
def test_limits_that_are_refused(data, supernet, tmp_path, constraints, named):
    cfg = with_search(data, '1G', constraints=constraints)
    cfg.val_cfg = None
    cfg = resolve_joint_config(cfg)
    for refusing in (lambda: run_search(cfg, supernet, tmp_path), lambda: check_search(cfg)):
        with raises_naming(ValueError, *named):
            refusing()
    assert not list(tmp_path.iterdir())


def test_an_evolution_without_settings_is_the_papers(data):
    plan = SearchPlan.from_config(resolve_joint_config(with_search(data, '1G', evolution=None)))
    assert plan.evolution == EvolutionSettings()
    with raises_naming(ValueError, 'search_cfg.evolution', '[50]'):
        SearchPlan.from_config(resolve_joint_config(with_search(data, '1G', evolution=[50])))


def test_a_random_search_that_fails_costs_no_result(cfg, supernet, whole, tmp_path, monkeypatch):
    """Its candidates, all of which have failed, are no others when it is run again."""
    cfg, search = copy.deepcopy(cfg), SearchProblem.search
    cfg.search_cfg.random_baseline = True

    def failing(self, score, settings, *others):
        if not settings.crossovers:
            raise SearchFailed('search: every candidate so far has failed')
        return search(self, score, settings, *others)

    monkeypatch.setattr(SearchProblem, 'search', failing)
    assert run_search(cfg, supernet, tmp_path).best == whole[1].best
    assert read_json(tmp_path / 'report.json')['random'] is None


@pytest.mark.parametrize('seed', [None, '7', 1.5, -1])
def test_a_seed_by_which_no_search_goes_on_is_refused(data, seed):
    """A search that was killed takes the same steps again."""
    with raises_naming(ValueError, 'search_cfg', 'seed', repr(seed)):
        SearchPlan.from_config(resolve_joint_config(with_search(data, '1G', seed=seed)))


def test_one_config_trains_and_searches(data, tmp_path):
    cfg = joint_config(data, changes={'train_cfg.max_iters': 1})
    cfg.val_cfg = None
    cfg.custom_hooks = [dict(type='SearchHook')]
    cfg.search_cfg = dict(budget=5, evolution=dict(EVOLUTION, generations=1))
    with raises_naming(ValueError, 'budget', 5):
        build_runner(cfg, tmp_path).train()
    assert not (tmp_path / 'iter_1.pth').exists()
    cfg.search_cfg.budget = '1G'
    build_runner(cfg, tmp_path).train()
    found = read_json(tmp_path / 'search' / 'joint_spec.json')
    page = (tmp_path / 'search' / 'report.html').read_text()
    assert page.count('src="data:image/') >= len(TASKS)
    assert f'--joint-spec {tmp_path / "search" / "joint_spec.json"}' in page
    again = run_search(resolve_joint_config(cfg), tmp_path / 'iter_1.pth', tmp_path / 'again')
    assert TRANSFORMER.read_joint(found['joint_spec']) == again.best
    assert found['scores'] == again.scores


def test_a_training_searches_in_what_its_checkpoint_holds(data, tmp_path, monkeypatch):
    """Averaged weights are in the checkpoint, and so will be in the deposit, not in the model."""
    cfg = joint_config(data, changes={'train_cfg.max_iters': 2})
    cfg.val_cfg = None
    cfg.default_hooks.checkpoint.update(interval=5, save_last=False)
    cfg.custom_hooks = [dict(type='EMAHook', momentum=0.5), dict(type='SearchHook')]
    cfg.search_cfg = dict(budget='1G')
    searched = {}

    def note(model, ranks, cfg, checkpoint, folder):
        searched.update({key: value.clone() for key, value in model.state_dict().items()})
        assert checkpoint == tmp_path / 'iter_2.pth'

    monkeypatch.setattr(hook_module, 'search_supernet', note)
    runner = build_runner(cfg, tmp_path)
    trained = {}
    runner.register_hook(Remember(trained), priority='VERY_LOW')
    runner.train()
    saved = read_checkpoint(tmp_path / 'iter_2.pth')['state_dict']
    assert searched.keys() == saved.keys()
    assert all(torch.equal(searched[key], saved[key]) for key in saved)
    assert any(not torch.equal(trained[key], saved[key]) for key in saved)


def test_the_log_of_a_training_says_what_its_search_has_counted(tmp_path, monkeypatch):
    """A budget may be of multiply-adds or of milliseconds."""
    result, lines = SimpleNamespace(score=50.0, total=1000), []
    for name in ('_last_checkpoint', 'read_checkpoint', 'load_weights'):
        monkeypatch.setattr(hook_module, name, lambda *_, **__: None)
    monkeypatch.setattr(hook_module, 'own_state', lambda *_: dict(state_dict={}))
    monkeypatch.setattr(hook_module, 'search_supernet', lambda *_: result)
    monkeypatch.setattr(hook_module, 'write_report', lambda report, folder: ['report.html'])
    runner = SimpleNamespace(cfg={}, ranks=None, model=None, work_dir=str(tmp_path))
    runner.logger = SimpleNamespace(info=lines.append)
    for report, unit in (({}, 'parameters'), (dict(unit='multiply-adds'), 'multiply-adds')):
        write_json(tmp_path / 'search' / 'report.json', report)
        hook_module.SearchHook().after_train(runner)
        assert f'1,000 {unit},' in lines[-1]


class Remember(Hook):
    """The weights at the end of a training."""

    def __init__(self, weights):
        self.weights = weights

    def after_train(self, runner):
        self.weights.update({k: v.clone() for k, v in runner.model.state_dict().items()})


def test_preferences_are_factors_of_the_weights(data):
    def plan(prefer, **weights):
        cfg = with_search(data, '1G', prefer=prefer)
        for task, weight in weights.items():
            cfg.tasks[task].score_weight = weight
        return SearchPlan.from_config(resolve_joint_config(cfg))

    assert plan(dict(seg=1, det=0.3), det=2.0).weights == dict(cls=0.0, det=0.6, seg=1.0)
    assert plan(dict.fromkeys(TASKS, 2), cls=3.0).weights == dict(cls=6.0, det=2.0, seg=2.0)
    for prefer, named in (
        (dict(nope=1), ("'nope'", 'seg')),
        (dict(seg=-1), ("'seg'", -1)),
        (dict(seg=math.nan), ("'seg'", 'nan')),
        (dict(seg='much'), ("'seg'", "'much'")),
        (dict(seg=0), ('all are 0',)),
        (3, (3, 'cls')),
    ):
        with raises_naming(ValueError, 'search_cfg.prefer', *named):
            plan(prefer)
