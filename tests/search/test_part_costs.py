"""What elastic heads add to the costs of a search, against sums by hand."""

import random

import pytest
from elastic_head import CLASSES, PART, WIDTHS, sizes, with_elastic_head
from helpers import TASKS, WIDTH, build_model, build_runner, data, quick_mmengine  # noqa: F401
from mmengine.logging import MMLogger
from refusals import raises_naming

from mdl_nas_mm.elastic.latency_table import LatencyTable, Timing
from mdl_nas_mm.search import check_search, choose_again, run_search
from mdl_nas_mm.search.problem import SearchProblem
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.utils.strict_json import read_json

IMAGE = (20, 28)
SIZES = dict.fromkeys(TASKS, list(IMAGE))
EVOLUTION = dict(population=6, generations=2, parents=2, crossovers=2, mutations=2)


def multiply_adds(spec):
    """Of all layers of the head, on maps of a quarter of the image's sides."""
    pixels, inputs, total = IMAGE[0] // 4 * (IMAGE[1] // 4), 2 * WIDTH, 0
    for block in spec.part(PART).stages[0].blocks:
        total += pixels * inputs * block.width
        inputs = block.width
    return total + pixels * max(WIDTHS) * CLASSES


def searched(data, budget, **settings):  # noqa: F811
    search = dict(budget=budget, evolution=EVOLUTION, **settings)
    return resolve_joint_config(with_elastic_head(data, changes=dict(search_cfg=search)))


def problem_of(model, cfg):
    return SearchProblem.from_config(cfg, model.supernet, model.head_sizes())


@pytest.fixture(scope='module')
def model(data):  # noqa: F811
    return build_model(with_elastic_head(data))


def sampled(model, count=12):
    rng = random.Random(0)
    return [
        JointSpec({task: space.sample(rng) for task, space in model.spaces.items()})
        for _ in range(count)
    ]


def test_parameters_and_multiply_adds_have_the_head_in_them(data, model):  # noqa: F811
    joints = sampled(model)
    parameters = problem_of(model, searched(data, '1G')).cost.totals(joints)
    flops = searched(data, '1G', cost=dict(type='FlopsCost', input_size=SIZES))
    flops = problem_of(model, flops).cost.totals(joints)
    apart = model.backbone.ledger(model.head_sizes())
    for joint, elements, operations in zip(joints, parameters, flops):
        roots = JointSpec({task: spec.root for task, spec in joint.items()})
        widths = [block.width for block in joint['seg'].part(PART).stages[0].blocks]
        assert elements == apart.count(roots).total + sizes(widths)
        backbones = sum(model.backbone.flops(t, spec, IMAGE) for t, spec in roots.items())
        assert operations == backbones + multiply_adds(joint['seg'])
    # A limit on one task counts the same.
    most = max(model.backbone.flops('seg', j['seg'].root, IMAGE) for j in joints)
    limit = dict(seg=dict(flops=most, input_size=list(IMAGE)))
    allow = problem_of(model, searched(data, '1G', constraints=limit)).limits.allow
    for joint in joints:
        own = model.backbone.flops('seg', joint['seg'].root, IMAGE) + multiply_adds(joint['seg'])
        assert allow('seg', joint['seg']) == (own <= most)
    assert {allow('seg', joint['seg']) for joint in joints} == {True, False}


@pytest.mark.parametrize('wrong', [224, [224], [224, '224'], [0, 224], 'large'])
def test_sizes_that_are_none_are_refused(data, model, wrong):  # noqa: F811
    limits = dict(seg=dict(flops='1G', input_size=wrong))
    with raises_naming(ValueError, 'input_size', "'seg'", repr(wrong)):
        problem_of(model, searched(data, '1G', constraints=limits))
    cost = dict(type='FlopsCost', input_size=dict(SIZES, seg=wrong))
    with raises_naming(ValueError, 'input_size', "'seg'", repr(wrong)):
        problem_of(model, searched(data, '1G', cost=cost))


@pytest.mark.parametrize('limit', [dict(), dict(input_size=[20, 28])])
def test_a_limit_that_limits_nothing_is_refused(data, model, limit):  # noqa: F811
    with raises_naming(ValueError, 'search_cfg.constraints.seg', 'flops', 'latency'):
        problem_of(model, searched(data, '1G', constraints=dict(seg=limit)))


def test_a_latency_table_says_that_it_does_not_cover_the_head(
    data,  # noqa: F811
    model,
    tmp_path,
    capsys,
):
    MMLogger.get_instance(__name__)
    tables = {}
    for task in TASKS:
        timing, tables[task] = (
            Timing.of(model.backbone, task, IMAGE),
            str(tmp_path / f'{task}.json'),
        )
        parts = timing.timed.all_parts(model.backbone.space)
        LatencyTable(timing, dict.fromkeys(parts, 1.0)).save(tables[task])
    problem_of(model, searched(data, '1s', cost=dict(type='LatencyCost', tables=tables)))
    said = [line for line in ''.join(capsys.readouterr()).splitlines() if PART in line]
    assert len(said) == 1 and 'seg.json' in said[0]
    about = dict(comparison=dict(spearman=-0.35))
    LatencyTable(timing, dict.fromkeys(parts, 1.0), about).save(tables[task])
    cost = dict(type='LatencyCost', tables=tables)
    limit = dict(latency='1s', table=tables[task])
    with raises_naming(ValueError, tables[task], '-0.35'):
        problem_of(model, searched(data, '1s', cost=cost))
    with raises_naming(ValueError, tables[task], '-0.35'):
        problem_of(model, searched(data, '1G', constraints={task: limit}))
    problem_of(model, searched(data, '1s', cost=dict(cost, poor_tables=True)))
    problem_of(model, searched(data, '1G', constraints={task: dict(limit, poor_table=True)}))


def test_a_search_under_a_budget_of_multiply_adds(data, tmp_path):  # noqa: F811
    cfg = with_elastic_head(data, changes={'train_cfg.max_iters': 1, 'val_cfg': None})
    build_runner(cfg, tmp_path).train()
    cost = dict(type='FlopsCost', input_size=SIZES)
    cfg = searched(data, '400K', cost=cost)
    check_search(cfg)
    result = run_search(cfg, tmp_path / 'iter_1.pth', tmp_path / 'search')
    assert result.total <= 400_000
    report = read_json(tmp_path / 'search' / 'report.json', 'report')
    assert report['unit'] == 'multiply-adds'
    # From the files alone.
    history = tmp_path / 'search' / 'history.jsonl'
    assert choose_again(history, '400K', tmp_path / 'again').joint == result.best
