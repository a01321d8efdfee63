"""Tasks that share a pass are searched as one: one architecture, one load and one pass each."""

import copy
import json
from contextlib import nullcontext
from itertools import product

import elastic_head
import pytest
import torch
from engine.test_image_group_training import group_config
from engine.test_image_group_validation import ROOMS, apart, passed  # noqa: F401
from engine.test_run_search import Stop, counted
from helpers import build_runner, call_tool, read_json
from image_group import CountedLoad
from refusals import raises_naming
from torch.utils.flop_counter import FlopCounterMode

from mdl_nas_mm.apis.analyze import analyze
from mdl_nas_mm.elastic import activate
from mdl_nas_mm.elastic.latency_table import LatencyTable, Timing
from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.search import SearchPlan, check_search, choose_again, run_search
from mdl_nas_mm.search.problem import SearchProblem
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.tasks.part_flops import weightless
from mdl_nas_mm.visualization import write_report

EVOLUTION = dict(population=4, generations=2, parents=2, crossovers=1, mutations=2)
FILES = ('history.jsonl', 'joint_spec.json', 'front.json')


def make_config(data, root):
    """Two segmentations, a third of the images without the second's labels, and a classifier."""
    cfg = group_config(data, root)
    cfg.groups, cfg.train_cfg.max_iters = None, 1
    for task in ROOMS:
        cfg.tasks[task].val_dataloader.sampler = dict(type='DefaultSampler', shuffle=False)
        cfg.tasks[task].val_dataloader.dataset.pipeline[0].type = 'CountedLoad'
    return cfg


@pytest.fixture(scope='module')
def trained(data, tmp_path_factory, quick_mmengine):
    """The config, and a checkpoint of its supernet."""
    root = tmp_path_factory.mktemp('group')
    cfg = make_config(data, root / 'data')
    build_runner(cfg, root / 'supernet').train()
    return cfg, root / 'supernet' / 'iter_1.pth'


def searching(cfg, **settings):
    cfg = copy.deepcopy(cfg)
    # Pictures of answers load images once more.
    cfg.search_cfg = dict(dict(budget='1G', evolution=EVOLUTION, answers=0), **settings)
    return resolve_joint_config(cfg)


def entries(folder):
    lines = (folder / 'history.jsonl').read_text().splitlines()[1:]
    return [json.loads(line) for line in lines]


def scores_of(folder):
    return {(e['task'], json.dumps(e['spec'])): e['score'] for e in entries(folder)}


def test_scores_are_those_of_a_pass_each(trained, tmp_path, passed):  # noqa: F811
    """The same proposals, with the tasks tied by hand where they have no images in common."""
    cfg, supernet = trained
    found = {}
    for name, each in (
        ('apart', searching(apart(cfg), tied=[ROOMS])),
        ('together', searching(cfg)),
    ):
        passed.clear(), CountedLoad.decoded.clear()
        result = run_search(each, supernet, tmp_path / name)
        images = sum(passed)
        found[name] = result, images, len(CountedLoad.decoded), scores_of(tmp_path / name)
    (expected, alone, loaded, scores), (result, together, decoded, same) = found.values()
    assert result.best == expected.best and result.best['seg'] == result.best['parts']
    assert any(joint.joint['cls'] != joint.joint['seg'] for joint in result.candidates)
    assert same == pytest.approx(scores, abs=1e-6)
    # Each time six images, of which four have the label of the second task.
    count = len(result.scored['seg'])
    assert count == len(result.scored['parts']) > 4 and len(set(scores.values())) > 4
    assert alone - together == 4 * count
    # More are loaded when the evaluations are built, and for the report's sizes of images: one with
    # each of the sets of labels.
    assert (loaded, decoded) == (10 * count + 4, 6 * count + 4)


@pytest.mark.parametrize('stop', [1, 5])
def test_killed_between_two_tasks_it_ends_like_the_uninterrupted(trained, tmp_path, stop):
    """What was written of one task of a pass alone is evaluated again with the other."""
    cfg, supernet = trained
    cfg = searching(cfg)
    result = run_search(cfg, supernet, tmp_path / 'whole')
    killed = tmp_path / 'killed'
    with pytest.MonkeyPatch.context() as patch:
        counted(patch, stop)
        with pytest.raises(Stop):
            run_search(cfg, supernet, killed)
    history, lines = killed / 'history.jsonl', entries(killed)
    if stop == 5:
        assert [line['task'] for line in lines[-2:]] == list(ROOMS)
        text = history.read_text()
        history.write_text(text[: text.rindex('\n{') + 3])
    with pytest.MonkeyPatch.context() as patch:
        again = counted(patch)
        assert run_search(cfg, supernet, killed) == result
    assert sum(map(len, again)) == len(entries(killed)) - len(lines) + 2 * (stop == 5)
    for name in FILES:
        assert (killed / name).read_bytes() == (tmp_path / 'whole' / name).read_bytes()
    assert choose_again(killed / 'history.jsonl', '1G', tmp_path / 'again').joint == result.best


def test_a_predictor_learns_tasks_on_the_same_images(trained, tmp_path, monkeypatch):
    """All samples in one pass each; the finalists are evaluated; a file of it serves too."""
    cfg, supernet = trained
    score = dict(type='PredictorScore', samples=12, finalists=2)
    evolution = dict(population=20, generations=3, crossovers=8, mutations=8)
    cfg = searching(cfg, score=score, evolution=evolution)
    with pytest.MonkeyPatch.context() as patch:
        evaluated = counted(patch)
        result = run_search(cfg, supernet, tmp_path / 'first')
    assert {tuple(specs) for specs in evaluated} == {ROOMS, ('cls',)}
    assert all(len(set(specs.values())) == 1 for specs in evaluated)
    assert result.best['seg'] == result.best['parts']
    known = scores_of(tmp_path / 'first')
    assert result.scores == {t: known[t, json.dumps(s.to_dict())] for t, s in result.best.items()}
    learned = tmp_path / 'learned.safetensors'
    call_tool(monkeypatch, 'predictor', tmp_path / 'first' / 'history.jsonl', '--out', learned)
    cfg.search_cfg.score = dict(type='PredictorScore', file=str(learned), finalists=2)
    again = run_search(cfg, supernet, tmp_path / 'again')
    assert again.best['seg'] == again.best['parts']
    assert len(entries(tmp_path / 'again')) <= 2 * 3


def test_a_budget_counts_a_pass_once(trained, tmp_path):
    """Multiply-adds of one pass, and nothing for the task that shares it; also in the reports."""
    cfg, supernet = trained
    sizes = dict(cls=[20, 20], seg=[16, 16], parts=[16, 16])
    cfg = searching(cfg, cost=dict(type='FlopsCost', input_size=sizes))
    check_search(cfg)
    model = load_supernet(cfg, supernet)
    problem = SearchProblem.from_config(cfg, model.supernet, model.head_sizes())
    least, most = (
        problem.cost.totals([JointSpec(dict.fromkeys(cfg.tasks, spec))])[0]
        for spec in (model.backbone.space.smallest(), model.backbone.space.largest())
    )
    cfg.search_cfg.budget = int(least + most) // 2
    result = run_search(cfg, supernet, tmp_path)
    report = read_json(tmp_path / 'report.json')
    assert result.total <= cfg.search_cfg.budget and report['pass_groups'] == [list(ROOMS)]
    write_report(report, tmp_path)
    assert 'parts and seg share a pass' in (tmp_path / 'report.html').read_text()
    counts = analyze(cfg, result.best, {task: tuple(size) for task, size in sizes.items()})
    tasks = counts['tasks']
    own = {task: tasks[task]['backbone_flops'] for task in tasks}
    assert own['seg'] == own['parts'] and result.total == own['cls'] + own['seg']
    (together,) = counts['passes']
    assert together['tasks'] == list(ROOMS) and together['backbone_flops'] == own['seg']
    heads = sum(tasks[task]['neck_flops'] + tasks[task]['head_flops'] for task in ROOMS)
    assert together['flops'] == own['seg'] + heads
    assert counts['flops'] == together['flops'] + tasks['cls']['flops']
    assert choose_again(tmp_path / 'history.jsonl', result.total, tmp_path / 'again').total <= (
        result.total
    )


def test_what_a_pass_of_two_tasks_costs_is_what_runs(trained):
    """Counted while both tasks' models run: matrix products of one backbone, and of two heads."""
    cfg = resolve_joint_config(trained[0])
    model, size = weightless(cfg.model).eval(), (16, 16)
    spec = model.backbone.space.largest()

    def run(shared):
        with torch.no_grad(), shared, FlopCounterMode(display=False) as counter:
            images = torch.empty(1, 3, *size, device='meta')
            for task in ROOMS:
                with activate(task, spec):
                    model.backbone(images)
        return counter.get_total_flops()

    assert 2 * run(SharedPass()) == run(nullcontext())


def test_a_latency_budget_has_one_table_a_pass(trained, tmp_path, monkeypatch):
    cfg, supernet = trained
    model, tables, sums = load_supernet(resolve_joint_config(cfg), supernet), {}, {}
    for task in ('cls', 'parts'):
        timing = Timing.of(model.backbone, task, (16, 16))
        table = LatencyTable(timing, dict.fromkeys(timing.timed.all_parts(model.backbone.space), 1))
        tables[task], sums[task] = str(tmp_path / f'{task}.json'), table.predict
        table.save(tables[task])

    def problem(**tables):
        given = searching(cfg, cost=dict(type='LatencyCost', tables=tables), budget='9s')
        return SearchProblem.from_config(given, model.supernet, model.head_sizes())

    read, load = [], LatencyTable.load
    monkeypatch.setattr(LatencyTable, 'load', lambda path: read.append(path) or load(path))
    joint = problem(**tables).sample(1, 0)[0]
    assert read == list(tables.values())
    expected = sum(round(1000 * sums[task](joint[task])) for task in ('cls', 'parts'))
    assert problem(**tables).cost.totals([joint])[0] == expected
    with raises_naming(ValueError, "['cls', 'parts']", "['cls', 'seg']"):
        problem(cls=tables['cls'], seg=tables['parts'])
    sizes = dict(cls=[16, 16], seg=[16, 16], parts=[32, 32])
    other = searching(cfg, cost=dict(type='FlopsCost', input_size=sizes))
    with raises_naming(ValueError, 'input_size', "'seg'", "'parts'"):
        check_search(other)


def test_heads_of_their_own_behind_one_backbone(trained, tmp_path):
    """Elastic heads: the backbone is proposed once, each head for its task."""
    cfg = copy.deepcopy(trained[0])
    head = dict(
        type='mdl_nas_mm.ElasticHead',
        space=elastic_head.SPACE,
        in_channels=24,
        in_index=-1,
        channels=max(elastic_head.WIDTHS),
        dropout_ratio=0.0,
        num_classes=elastic_head.CLASSES,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss'),
    )
    for task in ROOMS:
        cfg.tasks[task].model.decode_head = copy.deepcopy(head)
    build_runner(cfg, tmp_path / 'supernet').train()
    cfg = searching(cfg)
    check_search(cfg)
    with pytest.MonkeyPatch.context() as patch:
        evaluated = counted(patch)
        result = run_search(cfg, tmp_path / 'supernet' / 'iter_1.pth', tmp_path / 'search')
    joints = [each.joint for each in result.candidates] + [result.best]
    assert all(joint['seg'].root == joint['parts'].root for joint in joints)
    heads = {
        (joint['seg'].part('seg.decode_head'), joint['parts'].part('parts.decode_head'))
        for joint in joints
    }
    assert any(first != second for first, second in heads)
    for specs in evaluated:
        assert len({spec.root for spec in specs.values()}) == 1
    scored = result.scored
    pairs = [
        (first, second)
        for first, second in product(scored['seg'], scored['parts'])
        if first.root == second.root
    ]
    best = max(scored['seg'][a] + scored['parts'][b] for a, b in pairs)
    assert result.score == pytest.approx(best + max(scored['cls'].values()))


def searched(cfg, tasks, **settings):
    cfg = copy.deepcopy(cfg)
    cfg.tasks = {task: cfg.tasks[task] for task in tasks}
    cfg.search_cfg = dict(budget='1M', **settings)
    return SearchPlan.from_config(resolve_joint_config(cfg))


def test_tasks_that_share_a_pass_are_tied(trained):
    cfg = trained[0]
    assert searched(cfg, ROOMS).tied == searched(cfg, ('cls', *ROOMS)).tied == (ROOMS,)
    assert searched(cfg, ('cls', *ROOMS)).pass_groups == (ROOMS,)
    assert searched(apart(cfg), ROOMS).tied == ()
    assert searched(cfg, ('cls', *ROOMS), tied='all').tied == (('cls', *ROOMS),)
    assert searched(cfg, ('cls', *ROOMS), tied=[('parts', 'cls')]).tied == (('cls', *ROOMS),)
    other = copy.deepcopy(cfg)
    other.backbone.sharing = 'Sequential'
    assert searched(other, ('cls', *ROOMS)).tied == ()
    plan = searched(cfg, ('cls', *ROOMS))
    assert SearchPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    for wrong in ('some', ['seg', 'parts'], [('seg',)], [(1, 2)], 3):
        with raises_naming(ValueError, 'search_cfg.tied', repr(wrong)):
            searched(cfg, ROOMS, tied=wrong)
    with raises_naming(ValueError, 'search_cfg.tied', "'pose'"):
        check_search(searching(cfg, tied=[('seg', 'pose')]))
