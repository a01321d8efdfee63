"""Latency tables that know necks and heads. No time is asserted."""

from dataclasses import asdict

import numpy as np
import pytest
from refusals import raises_naming
from slim_joint import slim_config

from mdl_nas_mm.apis.latency import LatencyMeter
from mdl_nas_mm.elastic.latency_table import LatencyTable
from mdl_nas_mm.methods.ecmt.costs import milliseconds
from mdl_nas_mm.search.columns import JointColumns
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
        patch.setattr('mdl_nas_mm.apis.clock.time.perf_counter', lambda: next(ticks) / 1000)
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
