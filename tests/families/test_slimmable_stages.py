"""Stages behind the last one that tasks take: what does not run is neither there nor counted."""

import random

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from helpers import check_share_nothing

from mdl_nas_mm.elastic import activate
from mdl_nas_mm.elastic.plain import plain_part
from mdl_nas_mm.elastic.shared_pass import SharedPass
from mdl_nas_mm.families import ElasticMobileNetV2, ElasticResNet, ElasticResNet9

SPACE = dict(width_ratio=(0.5, 1.0))
# A class, its arguments, a stage that one task takes and the last that another one takes.
CASES = {
    'ResNet-18': (ElasticResNet, dict(depth=18, base_channels=8, stem_channels=8), 1, 2),
    'ResNet-50': (ElasticResNet, dict(depth=50, base_channels=4, stem_channels=4), 0, 3),
    'ResNet-9': (ElasticResNet9, dict(base_channels=8), 1, 2),
    'MobileNetV2': (ElasticMobileNetV2, dict(widen_factor=0.25, conv2=True), 3, 7),
}


@pytest.fixture(params=CASES)
def case(request):
    kind, settings, few, many = CASES[request.param]
    config = dict(settings, space=SPACE, tasks=('few', 'many'))
    config['out_indices'] = dict(few=(few,), many=(few, many))
    torch.manual_seed(0)
    backbone = kind(**config).eval()
    return backbone, config, backbone.space.sample(random.Random(0))


def multiply_adds(model, size):
    counter = FlopCountAnalysis(model, torch.zeros(1, 3, *size))
    counter = counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return counter.by_operator()['conv']


def test_what_no_task_takes_is_not_there(case):
    backbone, config, spec = case
    few = min(config['out_indices']['few'])
    given = dict(config, out_indices=(few,), tasks=())
    short = type(backbone)(**given)
    assert len(short.output_widths()) == few + 1
    own = {name for name, _ in short.named_parameters()}
    assert own < {name for name, _ in backbone.named_parameters()}
    # Its choices are the first ones of the longer network, and all that it has is used.
    widths, largest = list(short.shape.widths()), short.space.largest()
    assert widths == list(backbone.shape.widths())[: len(widths)]
    assert short.ledger().params(largest) == sum(p.numel() for p in short.parameters())
    assert short.needed((None,), largest) == largest
    stages = len(backbone.output_widths())
    assert stages == max(config['out_indices']['many']) + 1
    assert len(type(backbone)(**given, stages=stages).output_widths()) == stages


@torch.no_grad()
def test_multiply_adds_are_of_what_runs(case):
    backbone, config, spec = case
    for task in ('few', 'many'):
        plain = plain_part(backbone, config, task, spec)
        expected = multiply_adds(plain, (65, 49))
        assert backbone.flops(task, spec, (65, 49)) == pytest.approx(expected, rel=1e-6)
    few, many = (backbone.flops(task, spec, (65, 49)) for task in ('few', 'many'))
    assert few < many == backbone.flops('few', spec, (65, 49), others=('many',))


@torch.no_grad()
def test_tasks_of_different_stages_share_what_leads_to_them(case, monkeypatch):
    backbone, config, spec = case
    kind, images = type(backbone), torch.randn(2, 3, 64, 64)
    expected = {}
    for task in config['tasks']:
        with activate(task, spec):
            expected[task] = backbone(images)
        plain = plain_part(backbone, config, task, spec)
        for ours, other in zip(plain(images), expected[task], strict=True):
            torch.testing.assert_close(ours, other)
    run, stages = kind.run_stage, []

    def counted(self, stage, *args):
        stages.append(stage)
        return run(self, stage, *args)

    monkeypatch.setattr(kind, 'run_stage', counted)
    with SharedPass():
        for task in config['tasks']:
            with activate(task, spec):
                found = backbone(images)
            assert all(map(torch.equal, found, expected[task]))
    assert stages == list(range(backbone.returned[-1] + 1))


@torch.no_grad()
def test_architectures_that_differ_share_nothing(case):
    backbone, _, _ = case
    specs = [backbone.space.smallest(), backbone.space.largest()]
    check_share_nothing(backbone, 'many', specs, torch.randn(2, 3, 64, 64))
