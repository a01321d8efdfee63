"""From a budget and preferences to architectures of a joint config."""

import copy
import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from elastic_head import CLASSES, SPACE, WIDTHS, ElasticHead  # noqa: F401
from helpers import call_tool, refusal_of_tool
from image_group import joint_config, write_images
from mmengine.config import Config
from refusals import assert_names, raises_naming

from mdl_nas_mm.apis.analyze import analyze
from mdl_nas_mm.apis.controlled import make_controlled
from mdl_nas_mm.engine.settings import check_settings
from mdl_nas_mm.methods.ecmt import Controller, Evolution, InfeasibleBudget
from mdl_nas_mm.methods.ecmt.control_settings import ControlSettings, cycles_of
from mdl_nas_mm.methods.ecmt.controllability import Trial, controllability
from mdl_nas_mm.methods.ecmt.costs import multiply_adds, parameters
from mdl_nas_mm.methods.ecmt.hypervolume import hypervolume
from mdl_nas_mm.search.columns import JointColumns
from mdl_nas_mm.search.loss_predictor import LossPredictor, PredictorSettings
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.tasks.part_flops import weightless
from mdl_nas_mm.utils.budgets import MACS, PARAMS, read_budget

SIZE = dict.fromkeys(('seg', 'parts', 'alone'), (16, 16))


def controlled_config(root):
    """A ViT for three tasks, of which two have elastic heads."""
    cfg = joint_config(write_images(root))
    for task in ('seg', 'parts'):
        cfg.tasks[task].model.decode_head = dict(
            _delete_=True,
            type='mdl_nas_mm.ElasticHead',
            space=dict(SPACE, depth=2),
            in_channels=24,
            in_index=-1,
            channels=max(WIDTHS),
            dropout_ratio=0.0,
            num_classes=CLASSES,
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss'),
        )
    cfg.backbone.space.share_ratio = 1.0
    return cfg


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """The file of a joint config, and of a predictor for it."""
    folder = tmp_path_factory.mktemp('control')
    path = folder / 'joint.py'
    controlled_config(folder / 'data').dump(path)
    cfg = resolve_joint_config(Config.fromfile(path))
    columns = JointColumns(weightless(cfg.model).spaces)
    rows = columns.sample(60, np.random.default_rng(0))
    losses = np.stack([5 - columns.encoded(rows)[:, columns.of_task(t)].sum(1) for t in SIZE], 1)
    predictor = folder / 'predictor.safetensors'
    LossPredictor.fit(columns, rows, losses, PredictorSettings(epochs=20)).save(predictor)
    return path, cfg, predictor


@pytest.fixture(scope='module')
def controller(files):
    return Controller.of(*files[1:], SIZE)


def test_costs_are_those_of_the_models(files, controller):
    cfg, columns = files[1], controller.columns
    model = weightless(cfg.model).eval()
    ledger = model.supernet.ledger(model.head_sizes())
    rows = columns.sample(6, np.random.default_rng(1))
    for row in rows:
        joint = columns.joint(row)
        report = analyze(cfg, joint, SIZE)
        tasks = report['tasks'].values()
        macs = report['tasks']['seg']['backbone_flops'] + sum(t['head_flops'] for t in tasks)
        assert controller.costs[MACS](row[None])[0] == pytest.approx(macs, rel=1e-9)
        total = sum(ledger.count(joint).specific.values()) + ledger.count(joint).shared
        total += sum(ledger.count(joint).heads.values())
        assert controller.costs[PARAMS](row[None])[0] == pytest.approx(total, rel=1e-9)


def test_the_encoder_has_the_images_of_the_first_task_in_whatever_order_sizes_are(files):
    model = weightless(files[1].model).eval()
    columns = JointColumns(model.spaces)
    sizes = dict(seg=(32, 32), parts=(32, 32), alone=(16, 16))
    assert next(iter(columns.spaces)) == 'alone'
    row = columns.choices[None] - 1
    first, other = (
        multiply_adds(model, columns, dict(own))(row)[0]
        for own in (sorted(sizes.items()), sizes.items())
    )
    assert first == other


@pytest.mark.parametrize('unit', [MACS, PARAMS])
def test_a_request_is_met(controller, unit):
    cost, columns = controller.costs[unit], controller.columns
    least, most = (cost(row[None])[0] for row in (0 * columns.choices, columns.choices - 1))
    budget = f'{int((least + most) / 2)}{" params" if unit == PARAMS else ""}'
    found = controller.configure(budget, dict(seg=9, parts=3), cycles=30)
    assert found.unit == unit and found.cost <= (least + most) / 2
    assert found.cost == cost(columns.row(found.joint)[None])[0]
    assert found.preferences == dict(seg=1.0, parts=pytest.approx(1 / 3), alone=0.0)
    if found.lowered == 1:
        for task, width in (('seg', 8), ('parts', 5)):
            blocks = found.joint[task].part(f'{task}.decode_head').stages[0].blocks
            assert {block.width for block in blocks} == {width}
    assert any('seg' in line for line in found.lines())
    # For the next frame something else.
    other = controller.configure(None, dict(parts=1))
    assert other.cost <= controller.costs[MACS]((columns.choices - 1)[None])[0]
    widths = {b.width for b in other.joint['parts'].part('parts.decode_head').stages[0].blocks}
    assert widths == {8}


def test_what_is_lowered_is_said(controller):
    least = int(controller.costs[MACS](np.zeros((1, len(controller.columns)), int))[0])
    found = controller.configure(str(least))
    assert found.lowered < 1 and any('lowered' in line for line in found.lines())
    with raises_naming(InfeasibleBudget, MACS, f'{least:,.0f}'):
        controller.configure(str(least - 1))


def test_budgets_are_read():
    assert read_budget('10G') == (MACS, 10e9)
    assert read_budget('5M params') == (PARAMS, 5e6)
    assert read_budget('25ms') == ('milliseconds', 25.0)
    for budget in ('10 apples', 'much', '-3G', '0'):
        with raises_naming(ValueError, 'budget', budget, '10G', '25ms'):
            read_budget(budget)


def test_requests_that_cannot_be_met(files, controller):
    with raises_naming(ValueError, '25ms', 'milliseconds', MACS, 'latency table'):
        controller.configure('25ms')
    with raises_naming(ValueError, 'preferences', "'nope'"):
        controller.configure('10G', dict(nope=1))
    with raises_naming(ValueError, 'related tasks', "'nope'"):
        Controller(controller.columns, controller.predictor, {}, alike=[('seg', 'nope')])
    spaces = controller.columns.spaces
    other = JointColumns({task: spaces[task].root for task in spaces})
    with raises_naming(ValueError, 'predictor', 'another space'):
        Controller(other, controller.predictor, {})
    with raises_naming(ValueError, 'p.safetensors', 'another space'):
        controller.predictor.check(other, 'p.safetensors')


@pytest.mark.parametrize(
    ('key', 'changes', 'named'),
    [
        ('backbone.sharing', {'backbone.sharing': 'Sequential'}, "'AllShared'"),
        ('parts', dict(parts=dict(h=dict(module='decode_head', tasks=('seg', 'parts')))), 'heads'),
        (
            'backbone',
            {
                'backbone.propagation': dict(seg='basic', parts='none', alone='none'),
                'backbone.window_size': 2,
            },
            'propagations.basic',
        ),
    ],
)
def test_models_of_which_tasks_own_something_are_not_controlled(tmp_path, key, changes, named):
    """It is said before they are trained, where the config tells it, and not once calibrated."""
    cfg = joint_config(write_images(tmp_path))
    cfg.merge_from_dict(changes)
    cfg.train_cfg.step, cfg.recalibrate_images = dict(type='ECMTStep'), 4
    cfg = resolve_joint_config(cfg)
    model = weightless(cfg.model).eval()
    with raises_naming(ValueError, key, named):
        parameters(model, JointColumns(model.spaces))
    said = [line for line in check_settings(cfg) if line.startswith(f'{key}: ')]
    assert len(said) == (key != 'backbone')


def test_a_part_of_a_space_is_not_packed_to_be_controlled(files, tmp_path):
    cfg = copy.deepcopy(files[1])
    cfg.subspace = dict(cfg.backbone.space, depth=1)
    with raises_naming(ValueError, 'subspace'):
        make_controlled(cfg, tmp_path / 'none.pth', files[2], tmp_path / 'out.safetensors')


def test_the_command_line(files, tmp_path, monkeypatch, capsys):
    path, _, predictor = files
    out = tmp_path / 'found.json'
    sizes = [f'{task}=16' for task in SIZE]
    arguments = ['control', path, '--predictor', predictor, '--input-size', *sizes]
    call_tool(monkeypatch, *arguments, '--budget', '1G', '--prefer', 'seg=1', '--out', out)
    said = capsys.readouterr().out
    assert MACS in said and 'seg: preference 1.00' in said and str(out) in said
    assert set(json.loads(out.read_text())['joint_spec']) == set(SIZE)
    for extra, names in (
        (['--budget', '10'], ['smallest', MACS]),
        (['--prefer', 'seg=0'], ['preferences']),
        (['--latency', str(tmp_path / 'none.json')], ['none.json']),
    ):
        said = refusal_of_tool(monkeypatch, *arguments, *extra)
        assert all(name in said for name in names), said


def test_a_reference_point_of_too_few_tasks_is_refused_before_a_supernet_is_loaded(
    files, tmp_path, monkeypatch
):
    nothing = tmp_path / 'nothing'
    nothing.write_text('')
    given = [files[0], '--predictor', nothing, '--checkpoint', nothing, '--reference', '1']
    assert_names(refusal_of_tool(monkeypatch, 'hypervolume', *given), 'reference point', 1, 3)


@pytest.mark.parametrize(
    'option', [['--input-size', 'nope=16'], ['--prefer', 'nope=1'], ['--alike', 'nope,seg']]
)
@pytest.mark.parametrize('tool', ['control', 'pack_control', 'hypervolume'])
def test_unknown_tasks_are_refused_before_anything_is_loaded(
    files, tmp_path, monkeypatch, tool, option
):
    """Neither a predictor nor a checkpoint is there that could be loaded."""
    if (tool, option[0]) == ('hypervolume', '--prefer'):
        pytest.skip('it samples the preferences')
    nothing = tmp_path / 'nothing'
    nothing.write_text('')
    given = [files[0], '--predictor', nothing, *option]
    if tool != 'control':
        given += ['--checkpoint', nothing]
    if tool == 'pack_control':
        given += ['--out', tmp_path / 'out']
    if tool == 'hypervolume':
        given += ['--reference', *'1' * len(SIZE)]
    assert_names(refusal_of_tool(monkeypatch, tool, *given), "'nope'", *SIZE)


def test_the_command_line_knows_milliseconds_and_related_tasks(
    files, tmp_path, monkeypatch, capsys
):
    path, _, predictor = files
    table, out = tmp_path / 'latency.json', tmp_path / 'found.json'
    small = ['--input-size', '16', '--runs', '1', '--warmup', '0', '--random-specs', '1']
    call_tool(monkeypatch, 'latency', path, '--task', 'seg', '--out', table, *small)
    sizes = [f'{task}=16' for task in SIZE]
    arguments = ['control', path, '--predictor', predictor, '--input-size', *sizes]
    arguments += ['--latency', table, '--prefer', 'seg=1', '--out', out]
    call_tool(monkeypatch, *arguments, '--budget', '9s', '--alike', 'seg,parts')
    assert 'milliseconds' in capsys.readouterr().out
    joint = json.loads(out.read_text())['joint_spec']
    decoders = [joint[task]['parts'][f'{task}.decode_head'] for task in ('seg', 'parts')]
    assert decoders[0] == decoders[1]


def test_more_cycles_find_no_worse(controller):
    budget = str(int(controller.costs[MACS]((controller.columns.choices - 1)[None])[0] * 0.6))
    losses = [controller.configure(budget, dict(seg=1), cycles=c).losses['seg'] for c in (0, 100)]
    assert losses[1] <= losses[0] + 1e-9
    assert Evolution().cycles == 10


def measured(columns, calls):
    """A stand-in for the measurement of losses."""

    def measure(joint):
        calls.append(joint)
        row = columns.row(joint)
        return {t: 2.0 - float(row[columns.of_task(t)].mean()) / 4 for t in columns.spaces}

    return measure


def test_controllability_is_measured_once_and_summed_up(controller, tmp_path):
    columns, calls, again, file = controller.columns, [], [], tmp_path / 'points.jsonl'
    trial = Trial(reference=(3.0, 3.0, 3.0), budget=None, count=6, alpha=0.5, seed=2)
    found = controllability(controller, measured(columns, calls), trial, file, dict(of='this'))
    assert len(found['points']) == 6 and len(found['extremes']) == 2
    losses = np.array([[p['losses'][t] for t in found['tasks']] for p in found['points']])
    assert found['hypervolume'] == pytest.approx(hypervolume(losses, (3, 3, 3)))
    assert found['hypervolume'] <= found['largest_hypervolume'] + 1e-9
    assert found['uniform_hypervolume'] == pytest.approx(found['largest_hypervolume'])
    largest, smallest = (point['losses'].values() for point in found['extremes'])
    assert list(smallest) == [2.0] * 3
    assert found['largest_hypervolume'] == pytest.approx(np.prod([3 - x for x in largest]))
    for i, task in enumerate(found['tasks']):
        asked = np.array([point['preferences'][task] for point in found['points']])
        expected = []
        for middle in (0.1, 0.3, 0.5, 0.7, 0.9):
            within = np.abs(asked - middle) <= 0.1
            if within.any():
                mean = pytest.approx(losses[within, i].mean())
                expected.append(
                    dict(preference=pytest.approx(middle), loss=mean, points=within.sum())
                )
        assert found['marginal'][task] == expected and len(expected) > 1
    assert found['control_parameters'] == controller.predictor.parameters
    # Killed in the middle of a line.
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b''.join(lines[:3]) + lines[3][:9])
    same = controllability(controller, measured(columns, again), trial, file, dict(of='this'))
    assert same == found and len(again) == len(calls) - 2
    # Another reference measures nothing again; no loss of the last task is below its own.
    other = dataclasses.replace(trial, reference=(3.0, 3.0, 1.0))
    nothing = controllability(controller, measured(columns, again), other, file, dict(of='this'))
    assert len(again) == len(calls) - 2
    assert (nothing['hypervolume'], nothing['beyond']) == (0, [found['tasks'][-1]])
    assert found['beyond'] == []
    # One point below the reference is enough.
    between = dataclasses.replace(trial, reference=(3.0, 3.0, float(losses[:, 2].mean())))
    some = controllability(controller, measured(columns, again), between, file, dict(of='this'))
    assert losses[:, 2].min() < between.reference[2] < losses[:, 2].max() and some['beyond'] == []
    with raises_naming(ValueError, str(file), "'of'"):
        controllability(controller, measured(columns, []), trial, file, dict(of='that'))
    with raises_naming(ValueError, 'reference point', 2, 3):
        short = Trial(reference=(3.0, 3.0))
        controllability(controller, measured(columns, []), short, file, {})
    with raises_naming(ValueError, 'reference', 'nan'):
        Trial(reference=(1.0, float('nan')))
    with raises_naming(ValueError, 'furlongs'):
        Trial(reference=(1.0,), budget='5 furlongs')
    for alpha in (0, float('inf')):
        with raises_naming(ValueError, 'alpha', repr(alpha)):
            Trial(reference=(1.0,), alpha=alpha)
        with raises_naming(ValueError, 'control', 'alpha', repr(alpha)):
            ControlSettings(alpha=alpha)


def test_preferences_are_of_a_dirichlet_distribution():
    tasks = ('a', 'b', 'c', 'd')
    drawn = Trial(reference=(1,) * 4, count=4000, alpha=0.2).preferences(tasks)
    values = np.array([[own[task] for task in tasks] for own in drawn])
    assert values.sum(1) == pytest.approx(np.ones(4000))
    assert values.mean(0) == pytest.approx(np.full(4, 0.25), abs=0.02)
    # The variance of a component: (1/4)(3/4) / (4 alpha + 1).
    assert values.var(0) == pytest.approx(np.full(4, 0.1875 / 1.8), rel=0.1)


def test_a_config_says_what_options_leave_open():
    control = dict(reference=dict(seg=4, alone=2, parts=3), alpha=1.0, cycles=150)
    cfg = SimpleNamespace(tasks=dict.fromkeys(sorted(SIZE)), get=dict(control=control).get)
    trial = Trial.of(cfg, None, '1G', 20, None, 0)
    assert (trial.reference, trial.alpha) == ((2.0, 3.0, 4.0), 1.0)
    trial = Trial.of(cfg, [5, 5, 5], '1G', 20, 0.3, 0)
    assert (trial.reference, trial.alpha) == ((5, 5, 5), 0.3)
    assert (cycles_of(None, cfg), cycles_of(0, cfg), cycles_of(None, None)) == (150, 0, 10)
    assert ControlSettings(reference=1).point('abc') == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ('control', 'named'),
    [
        (dict(), ('reference point', '--reference', 'control.reference')),
        (dict(reference=dict(seg=4, parts=3)), ('control.reference', "'alone'")),
        (dict(reference=dict(nope=4)), ('control.reference', "'nope'", 'seg')),
        (dict(reference='much'), ('control', 'reference', "'much'")),
        (dict(reference=dict(seg='much')), ('control', 'reference', 'seg', "'much'")),
        (dict(alpha=0), ('control', 'alpha', 0)),
        (dict(cycles=1.5), ('control', 'cycles', 1.5)),
        (dict(cycle=3), ('control', "'cycle'", 'cycles')),
        (3, ('control', 3, 'cycles')),
    ],
    ids=str,
)
def test_what_a_config_says_wrongly_is_refused_before_anything_is_loaded(
    files, tmp_path, monkeypatch, control, named
):
    nothing = tmp_path / 'nothing'
    nothing.write_text('')
    path = tmp_path / 'joint.py'
    path.write_text(f'_base_ = [{str(files[0])!r}]\ncontrol = {control!r}\n')
    given = [path, '--predictor', nothing, '--checkpoint', nothing]
    assert_names(refusal_of_tool(monkeypatch, 'hypervolume', *given), *named)
