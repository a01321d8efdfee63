"""Measuring latencies: which parts get which time, and the tool. No time is asserted."""

import math
import random
from dataclasses import replace

import pytest
import torch
from helpers import ROOT, call_tool, read_json
from mmengine.config import Config
from refusals import raises_naming

from mdl_nas_mm.apis.latency import LatencyMeter, comparison_lines
from mdl_nas_mm.elastic.latency_table import LatencyTable
from mdl_nas_mm.families.swin.model import ElasticSwinBlock
from mdl_nas_mm.families.vit.model import ElasticBlock
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.utils.clock import Clock

CONFIG = ROOT / 'configs/demo/demo_joint.py'
STAGE = dict(embed_dim=(8, 12), depth=(1, 2), num_heads=(1, 2), mlp_ratio=(1, 2), share_ratio=0.5)
SWIN = dict(
    type='ElasticSwin',
    space=[STAGE, dict(STAGE, embed_dim=(10, 16), per_stage=True)],
    sharing='Sequential',
    head_dim=4,
    window_size=3,
    pad_small_map=True,
)
TREE = dict(
    type='ElasticSwinUNet',
    space=[dict(STAGE, window_side=(2, 3)), *3 * [dict(STAGE, window_side=3)]],
    head_dim=4,
)
TREE_SKELETONS = dict(cls=['e2'], det=['e1+e2'], seg=['d2.1'])
SWIN_OUTPUTS = dict(cls=(1,), det=(0, 1), seg=(0, 1))
WINDOWS = dict(window_size=3, class_token=False)


def read_config(kind):
    cfg = Config.fromfile(CONFIG)
    if kind == 'Swin':
        cfg.backbone = SWIN
        for task, indices in SWIN_OUTPUTS.items():
            cfg.tasks[task].backbone = dict(out_indices=indices)
    elif kind == 'Swin with decoders':
        cfg.backbone = TREE
        for task, skeletons in TREE_SKELETONS.items():
            cfg.tasks[task].backbone = dict(skeletons=skeletons)
    else:
        cfg.backbone.update(space=dict(STAGE, depth=(5, 6)), head_dim=4)
        cfg.backbone.update(WINDOWS if kind == 'ViT with windows' else {})
    return resolve_joint_config(cfg, check_files=False)


@pytest.fixture(scope='module', params=['ViT', 'ViT with windows', 'Swin', 'Swin with decoders'])
def meter(request):
    return LatencyMeter(read_config(request.param), 'det', (48, 48), runs=1, warmup=0)


def test_the_table_has_every_choice(meter):
    table = meter.measure()
    assert set(table.milliseconds) == set(meter.timing.timed.all_parts(meter.space))
    assert all(value >= 0 for value in table.milliseconds.values())
    table.check(meter.timing, meter.space)
    result = meter.compare(table, 3)
    assert len(result['predicted']) == len(result['measured']) == 3
    assert 0 <= result['median_error'] <= result['worst_error'] < math.inf
    assert -1 <= result['pearson'] <= 1 and -1 <= result['spearman'] <= 1


def test_parts_of_a_run_add_up_to_it(meter, monkeypatch):
    """With a clock that ticks at every look, each block takes a tick, and what is between them
    counts for what is around."""
    ticks = iter(range(10**6))
    monkeypatch.setattr('mdl_nas_mm.utils.clock.time.perf_counter', lambda: next(ticks) / 1000)
    spec = meter.space.sample(random.Random(0))
    parts = list(meter._parts(spec))
    assert [part for part, _ in parts] == meter.timing.timed.parts(spec)
    assert all(ms == pytest.approx(1) for part, ms in parts if part.kind == 'block')
    assert sum(ms for _, ms in parts) == pytest.approx(2 * spec.depth + 1)


def test_models_are_plain_and_as_large_as_their_architecture(meter):
    ledger, rng = meter.supernet.ledger(), random.Random(0)
    for _ in range(3):
        spec = meter.space.sample(rng)
        with meter._prepared(spec) as (model, images):
            assert sum(p.numel() for p in model.parameters()) == ledger.params(spec)
            blocks = [m for m in model.modules() if isinstance(m, (ElasticBlock, ElasticSwinBlock))]
            assert len(blocks) == spec.depth
            assert [len(out) for out in model(images)] == [1] * len(model.map_widths())


def test_the_number_of_threads_is_left_alone(meter):
    threads = torch.get_num_threads()
    meter.timing = replace(meter.timing, threads=threads + 1)
    with meter._prepared(meter.space.largest()):
        assert torch.get_num_threads() == threads + 1
    meter.timing = replace(meter.timing, threads=1)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ('settings', 'named'),
    [
        (dict(task='dets'), ("task 'dets'",)),
        (dict(runs=0), ('runs', 0)),
        (dict(warmup=-1), ('warmup', -1)),
        (dict(batch_size=0), ('batch_size', 0)),
        (dict(device='gpu'), ("device 'gpu'",)),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, named):
    with raises_naming(ValueError, *named):
        LatencyMeter(read_config('ViT'), **(dict(task='det', input_size=(48, 48)) | settings))


def test_the_tool_writes_a_table_and_says_how_well_it_predicts(monkeypatch, capsys, tmp_path):
    out, cfg = tmp_path / 'latency_seg.json', Config.fromfile(CONFIG)
    call_tool(
        monkeypatch, 'latency', CONFIG, '--task', 'seg', '--out', out, '--runs', '1',
        '--warmup', '0', '--random-specs', '2', '--input-size', '32',
    )  # fmt: skip
    printed = capsys.readouterr().out
    table = LatencyTable.load(out)
    assert f'{out}: {len(table.milliseconds)} parts, 1 x 32 x 32' in printed
    assert 'error: median' in printed and 'random architectures:' in printed
    meter = LatencyMeter(resolve_joint_config(cfg, check_files=False), 'seg', (32, 32))
    table.check(meter.timing, meter.space)
    about = read_json(out)['about']
    assert about['task'] == 'seg' and about['runs'] == 1 and about['hardware']
    assert table.predict(meter.space.largest()) > 0
    comparison = about['comparison']
    assert comparison['architectures'] == 2 and table.correlation == comparison['spearman']


def test_a_table_that_does_not_predict_is_warned_of(meter):
    numbers = dict(median_error=9.0, worst_error=20.0, pearson=-0.2, measured=[1.0, 2.0])
    table = LatencyTable(meter.timing, {})
    for correlation, is_poor in ((-0.35, True), (0.9, False), (None, False)):
        result = numbers | dict(spearman=correlation)
        lines = list(comparison_lines(meter.compared(table, result), result))
        assert lines[-1].startswith('warning: ') == is_poor
        assert ('-0.35' in lines[-1]) == is_poor


@pytest.mark.parametrize('key', ['batch_size', 'threads', 'runs', 'warmup'])
def test_numbers_out_of_range(key):
    cfg = resolve_joint_config(Config.fromfile(CONFIG), check_files=False)
    with raises_naming(ValueError, 'latency', key, -1):
        LatencyMeter(cfg, 'cls', **{key: -1})


def test_a_clock_marks_the_stream_of_its_own_gpu(monkeypatch):
    """Whichever is the current one."""
    marked, waited, device = [], [], torch.device('cuda', 1)

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self, stream):
            marked.append(stream)

        def elapsed_time(self, other):
            return 3.0

    monkeypatch.setattr(torch.cuda, 'Event', Event)
    monkeypatch.setattr(torch.cuda, 'current_stream', lambda device: f'stream of {device}')
    monkeypatch.setattr(torch.cuda, 'synchronize', waited.append)
    clock = Clock(device)
    clock.mark()
    clock.mark()
    assert clock.gaps() == [3.0]
    assert marked == ['stream of cuda:1'] * 2 and waited == [device]
