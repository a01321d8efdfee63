"""Counts of the analysis against real modules that really run."""

import json
import random
import runpy
import sys

import pytest
import torch
from helpers import ROOT
from mmengine.config import Config
from numerics.counting import plain_attention
from refusals import raises_naming
from torch.utils.flop_counter import FlopCounterMode

from mdl_nas_mm.apis.analyze import analyze, initial_scores
from mdl_nas_mm.elastic import activate
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import resolve_joint_config, task_scope, validation_size

CONFIG = ROOT / 'configs/demo/demo_joint.py'
SIZES = dict(cls=(28, 28), det=(48, 48), seg=(32, 32))


@pytest.fixture(scope='module')
def cfg():
    return resolve_joint_config(Config.fromfile(CONFIG), check_files=False)


@pytest.fixture(scope='module')
def model(cfg):
    with task_scope('mdl_nas_mm'):
        return MODELS.build(cfg.model).eval()


@pytest.fixture(scope='module')
def without_positions():
    """A config, and its model, whose attention does nothing that its closed form leaves out."""
    cfg = Config.fromfile(CONFIG)
    cfg.backbone.max_relative_position = 0
    cfg = resolve_joint_config(cfg, check_files=False)
    with task_scope('mdl_nas_mm'):
        return cfg, MODELS.build(cfg.model).eval()


def numel(module):
    return sum(parameter.numel() for parameter in module.parameters())


def drawn_joint(model):
    rng = random.Random(3)
    return JointSpec({task: model.backbone.space.sample(rng) for task in SIZES})


def test_parameters_are_those_of_the_modules(cfg, model):
    report = analyze(cfg, input_sizes=SIZES)
    counts = model.backbone.ledger(model.head_sizes()).count(
        JointSpec(dict.fromkeys(SIZES, model.backbone.space.largest()))
    )
    assert report['total'] == counts.total
    assert report['separate'] == counts.separate
    assert report['backbone_total'] == report['shared'] + sum(report['specific'].values())
    for task, result in report['tasks'].items():
        assert result['head_params'] == numel(model.tasks[task])
    assert report['tasks']['det']['neck_params'] == numel(model.tasks['det'].neck)


def test_flops_of_whole_models_are_those_of_a_run(without_positions):
    """A dense model run for real, all products counted."""
    cfg, model = without_positions
    joint = drawn_joint(model)
    report = analyze(cfg, joint, SIZES)
    for task in ('cls', 'seg'):
        images = torch.zeros(1, 3, *SIZES[task])
        with torch.no_grad(), task_scope(model.scopes[task]), activate(task, joint[task]):
            with plain_attention(), FlopCounterMode(display=False) as counter:
                model.tasks[task](images, mode='tensor')
        assert report['tasks'][task]['flops'] == counter.get_total_flops() // 2


def test_flops_of_a_two_stage_detector_count_every_region(without_positions):
    """Heads on regions, run for real on as many regions as the test settings allow."""
    cfg, model = without_positions
    detector, joint = model.tasks['det'], drawn_joint(model)
    images = torch.zeros(1, 3, *SIZES['det'])
    roi = detector.roi_head
    with torch.no_grad(), task_scope('mmdet'), activate('det', joint['det']):
        with plain_attention(), FlopCounterMode(display=False) as counter:
            features = detector.extract_feat(images)
            detector.rpn_head(features)
            regions = torch.tensor([[0.0, 0, 0, 20, 20]])
            for count, run in (
                (detector.test_cfg.rpn.max_per_img, roi._bbox_forward),
                (detector.test_cfg.rcnn.max_per_img, roi._mask_forward),
            ):
                run(features, regions.repeat(count, 1))
    result = analyze(cfg, joint, SIZES)['tasks']['det']
    assert result['flops'] == counter.get_total_flops() // 2
    assert result['flops'] == (
        result['backbone_flops'] + result['neck_flops'] + result['head_flops']
    )


def test_attention_products_are_all_that_differs_between_the_conventions(cfg, model):
    result = analyze(cfg, input_sizes=SIZES)['tasks']['cls']
    (stage,) = model.backbone.space.largest().stages
    tokens, rows = 7 * 7 + 1, model.backbone.shape.table_rows
    products = sum(
        (2 * tokens**2 + 4 * tokens * rows) * block.num_heads * 32 for block in stage.blocks
    )
    assert result['flops'] - result['flops_without_attention'] == products


def test_mask_scores_decide_what_is_shared(cfg):
    cfg = resolve_joint_config(Config.fromfile(CONFIG), check_files=False)
    cfg.model.backbone.sharing = 'Mask'
    with task_scope('mdl_nas_mm'):
        scores = initial_scores(MODELS.build(cfg.model.backbone))
    all_shared = {name: value * 0 + 1 for name, value in scores.items()}
    none_shared = {name: value * 0 for name, value in scores.items()}
    totals = [
        analyze(cfg, input_sizes=SIZES, scores=s)['backbone_total']
        for s in (all_shared, None, none_shared)
    ]
    assert totals == sorted(totals) and len(set(totals)) == 3


@pytest.mark.parametrize(
    ('pipeline', 'size'),
    [
        ([dict(type='ResizeEdge', scale=256), dict(type='CenterCrop', crop_size=224)], (224, 224)),
        ([dict(type='Resize', scale=(1333, 800), keep_ratio=True)], (800, 1333)),
        ([dict(type='TopdownAffine', input_size=(192, 256))], (256, 192)),
    ],
)
def test_input_size_comes_from_the_validation_pipeline(pipeline, size):
    wrapped = dict(type='ConcatDataset', dataset=dict(pipeline=pipeline))
    assert validation_size(dict(dataset=dict(pipeline=pipeline)), 'a') == size
    assert validation_size(dict(dataset=wrapped), 'a') == size


def run_tool(monkeypatch, capsys, *args):
    monkeypatch.setattr(sys, 'argv', ['analyze.py', *map(str, args)])
    runpy.run_path(str(ROOT / 'tools/analyze.py'), run_name='__main__')
    return capsys.readouterr().out


def test_the_tool_prints_one_json_object_or_tables(monkeypatch, capsys, tmp_path, model):
    sizes = ('--input-size', 'cls=28', 'seg=32x32')
    spec = tmp_path / 'joint_spec.json'
    spec.write_text(json.dumps(drawn_joint(model).to_dict()))
    report = json.loads(run_tool(monkeypatch, capsys, CONFIG, '--json', *sizes))
    chosen = json.loads(
        run_tool(monkeypatch, capsys, CONFIG, '--json', '--joint-spec', spec, *sizes)
    )
    assert report['tasks']['det']['input_size'] == [48, 48]
    assert chosen['total'] < report['total']
    text = run_tool(monkeypatch, capsys, CONFIG, *sizes)
    assert f'{report["total"]:,}' in text
    # These models are small.
    assert f'{report["tasks"]["det"]["flops"] / 1e6:.2f} M' in text


def test_the_tool_refuses_in_one_line(monkeypatch, capsys):
    with raises_naming(SystemExit, "task 'seg'"):
        run_tool(monkeypatch, capsys, CONFIG, '--input-size', 'cls=28')


def test_images_of_one_channel_are_counted():
    """Grey ones: the layer in front alone takes less."""
    grey = Config.fromfile(CONFIG)
    grey.backbone.in_channels = 1
    found, usual = (
        analyze(resolve_joint_config(each, check_files=False), input_sizes=SIZES)
        for each in (grey, Config.fromfile(CONFIG))
    )
    for task in SIZES:
        one, three = (report['tasks'][task] for report in (found, usual))
        assert one['head_flops'] == three['head_flops'] > 0
        assert one['backbone_flops'] < three['backbone_flops']
