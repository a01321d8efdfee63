"""Latency tables that know necks and heads. No time is asserted."""

import copy
from dataclasses import asdict, replace

import numpy as np
import pytest
from mmengine.logging import MMLogger
from refusals import raises_naming
from slim_joint import slim_config

from mdl_nas_mm.apis.latency import LatencyMeter
from mdl_nas_mm.elastic.latency_table import LatencyTable, Timing
from mdl_nas_mm.methods.ecmt.costs import milliseconds
from mdl_nas_mm.search.columns import JointColumns
from mdl_nas_mm.search.problem import SearchProblem
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.tasks.part_flops import weightless

TASKS = ('cls', 'seg')
SIZES = dict.fromkeys(TASKS, (32, 32))


@pytest.fixture(scope='module')
def cfg(tmp_path_factory):
    folder = tmp_path_factory.mktemp('heads')
    return resolve_joint_config(slim_config(folder / 'data', folder), check_files=False)


@pytest.fixture(scope='module')
def table(cfg):
    """With a clock that ticks at every look: each layer, and what is before them, takes a tick."""
    ticks = iter(range(10**7))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mdl_nas_mm.utils.clock.time.perf_counter', lambda: next(ticks) / 1000)
        return LatencyMeter(cfg, 'cls', SIZES['cls'], runs=1, warmup=0).measure(TASKS)


def test_each_elastic_layer_has_its_time(table, tmp_path):
    assert set(table.heads) == set(TASKS)
    layers = (
        {'head.fc'},
        {
            *(
                f'decode_head.{n}.conv'
                for n in ('image_pool.1', 'aspp_modules.0', 'aspp_modules.1')
            ),
            'decode_head.bottleneck.conv',
            'decode_head.conv_seg',
        },
    )
    for task, names in zip(TASKS, layers):
        assert set(table.heads[task].layers) == names
        assert table.heads[task].rest == pytest.approx(1)
    assert table.about['heads']['worst_error'] < 1e-6
    table.save(tmp_path / 'table.json')
    assert LatencyTable.load(tmp_path / 'table.json').heads == table.heads


def test_a_budget_counts_encoder_and_heads(cfg, table):
    model = weightless(cfg.model).eval()
    columns = JointColumns(model.spaces)
    # As if a layer took a nanosecond for each of its products of channels.
    heads = {
        task: type(own)(0.5, {name: (0, 0, 0, 1e-6) for name in own.layers}, own.shapes)
        for task, own in table.heads.items()
    }
    own = LatencyTable(table.timing, table.milliseconds, heads=heads)
    cost = milliseconds(model, columns, SIZES, own)
    assert not cost.without and all(tabled.is_exact for _, tabled in cost.parts)
    rows = columns.sample(10, np.random.default_rng(0))
    for row, found in zip(rows, cost(rows)):
        joint, expected = columns.joint(row), own.predict(columns.spec('cls', row).root) + 1
        for task, module in (('cls', 'head'), ('seg', 'decode_head')):
            part = model.supernet.parts[f'{task}.{module}']
            uses = part.layout.uses(part.placed(joint[task]))
            kernels = {9: ('aspp_modules.1', 'bottleneck')}
            for use in uses:
                if use.name.endswith('.weight') and use.columns > 1:
                    area = 9 if any(name in use.name for name in kernels[9]) else 1
                    expected += 1e-6 * use.channels * use.columns / area
        assert found == pytest.approx(expected)


def test_a_table_of_other_heads_is_refused(cfg, table):
    model = weightless(cfg.model).eval()
    columns = JointColumns(model.spaces)
    other = dict(asdict(table.heads['seg']), shapes={'seg.decode_head': dict(channels=7)})
    heads = dict(table.heads, seg=type(table.heads['seg']).from_dict(other))
    own = LatencyTable(table.timing, table.milliseconds, heads=heads)
    with raises_naming(ValueError, "'seg'", 'channels', 'mdl-nas latency'):
        milliseconds(model, columns, SIZES, own)
    some = LatencyTable(table.timing, table.milliseconds, heads=dict(cls=table.heads['cls']))
    assert milliseconds(model, columns, SIZES, some).without == ('seg',)


def test_heads_of_unknown_tasks_are_refused_before_anything_is_measured(cfg):
    with raises_naming(ValueError, "'depth'", 'cls', 'seg'):
        LatencyMeter(cfg, 'cls', SIZES['cls'], runs=1, warmup=0).measure(['depth'])


def test_a_search_counts_the_heads_that_a_table_has(cfg, table, tmp_path, capsys):
    """In the clock of these tests a head takes a tick, and another one for each elastic layer."""
    MMLogger.get_instance(__name__)
    model, ticks = weightless(cfg.model).eval(), dict(cls=1 + 1, seg=1 + 5)
    timing = Timing.of(model.backbone, 'seg', SIZES['seg'])
    parts = dict.fromkeys(timing.timed.all_parts(model.backbone.space), 2.0)
    tables = dict(cls=table, seg=LatencyTable(timing, parts, heads=table.heads))

    def problem(heads, **settings):
        """Of tables with heads, or without; limits name the table of ``seg``."""
        files = {task: str(tmp_path / f'{task}_{heads}.json') for task in TASKS}
        for task, file in files.items():
            replace(tables[task], heads=table.heads if heads else {}).save(file)
        own, cost = copy.deepcopy(cfg), dict(type='LatencyCost', tables=files)
        limits = {task: dict(latency=most, table=files[task]) for task, most in settings.items()}
        own.search_cfg.update(budget='9s', cost=cost, constraints=limits)
        return SearchProblem.from_config(own, model.supernet, model.head_sizes())

    joints = problem(True).sample(5, 0)
    assert len(joints) == 5 and 'decode_head' not in ''.join(capsys.readouterr())
    bare = problem(False).cost.totals(joints)
    assert 'seg.decode_head' in ''.join(capsys.readouterr())
    more = problem(True).cost.totals(joints) - bare
    np.testing.assert_allclose(more, 1000 * sum(ticks.values()), atol=2)
    for joint in joints:
        own = tables['seg'].predict(model.backbone.needed(('seg',), joint['seg'].root))
        for most, fits in ((own + 5.9, False), (own + 6.1, True)):
            assert problem(True, seg=f'{most}ms').limits.allow('seg', joint['seg']) == fits
