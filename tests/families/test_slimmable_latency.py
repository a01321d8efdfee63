"""Latency tables of slimmable encoders: which parts get which time. No time is asserted."""

import random

import pytest
from slim_joint import slim_config

from mdl_nas_mm.apis.latency import LatencyMeter
from mdl_nas_mm.tasks import resolve_joint_config

SPACE = dict(width_ratio=(0.5, 1.0))
ENCODERS = {
    'ResNet-18': dict(type='ElasticResNet', depth=18, base_channels=8, stem_channels=8),
    'ResNet-50': dict(type='ElasticResNet', depth=50, base_channels=4, stem_channels=4),
    'ResNet-9': dict(type='ElasticResNet9', base_channels=8),
    'MobileNetV2': dict(type='ElasticMobileNetV2', widen_factor=0.25, conv2=True),
}


@pytest.fixture(scope='module', params=ENCODERS)
def meter(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp('latency')
    cfg = slim_config(folder / 'data', folder)
    cfg.backbone = dict(ENCODERS[request.param], space=SPACE)
    if request.param == 'MobileNetV2':
        # The last one.
        cfg.tasks.cls.backbone.out_indices = (7,)
    cfg = resolve_joint_config(cfg, check_files=False)
    return LatencyMeter(cfg, 'cls', (32, 32), runs=1, warmup=0)


def test_the_table_learns_every_choice(meter):
    table = meter.measure()
    assert set(table.milliseconds) == set(meter.timing.timed.all_parts(meter.space))
    table.check(meter.timing, meter.space)
    rng = random.Random(0)
    for _ in range(20):
        spec = meter.space.sample(rng)
        own = [table.milliseconds[part] for part in meter.timing.timed.parts(spec)]
        assert table.predict(spec) == pytest.approx(sum(own))


def test_parts_of_a_run_add_up_to_it(meter, monkeypatch):
    """With a clock that ticks at every look, each block and what is between takes a tick."""
    ticks = iter(range(10**6))
    monkeypatch.setattr('mdl_nas_mm.utils.clock.time.perf_counter', lambda: next(ticks) / 1000)
    spec = meter.space.sample(random.Random(0))
    parts = list(meter._parts(spec))
    assert [part for part, _ in parts] == meter.timing.timed.parts(spec)
    blocks = [ms for part, ms in parts if part.kind == 'block']
    assert len(blocks) == len(meter.supernet.shape.block_names())
    assert blocks == [pytest.approx(1)] * len(blocks)
    assert sum(ms for _, ms in parts) == pytest.approx(2 * len(blocks) + 1)


def test_a_task_of_few_stages_has_the_parts_of_these_alone(tmp_path):
    cfg = slim_config(tmp_path / 'data', tmp_path)
    cfg.backbone = dict(ENCODERS['ResNet-18'], space=SPACE)
    cfg.tasks.cls.backbone.out_indices = (1,)
    cfg = resolve_joint_config(cfg, check_files=False)
    meter = LatencyMeter(cfg, 'cls', (32, 32), runs=1, warmup=0)
    # The table is of all that any task runs: another one takes the last stage.
    table, backbone = meter.measure(), meter.supernet
    assert set(table.milliseconds) == set(meter.timing.timed.all_parts(meter.space))
    spec = meter.space.largest()
    few, both = (backbone.needed(tasks, spec) for tasks in (('cls',), ('cls', 'seg')))
    assert both == spec
    parts = meter.timing.timed.parts(spec)
    assert meter.timing.timed.parts(few) == parts[: 1 + 4] and len(parts) == 1 + 8
    assert table.predict(few) < table.predict(spec)
