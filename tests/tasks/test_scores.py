"""Evaluation with the upstream evaluators, and the one number that a search maximises."""

import math

import numpy as np
import pytest
import torch
from helpers import TASKS, build_model, joint_config
from mmengine.structures import InstanceData, PixelData
from pycocotools.coco import COCO
from refusals import raises_naming

from mdl_nas_mm.tasks import (
    NoScore,
    Score,
    Scoring,
    evaluate,
    resolve_joint_config,
    score_of,
)
from mdl_nas_mm.tasks.scores import finite_numbers


def test_numbers_of_metrics_are_those_that_json_has():
    """As mmdet gives nan of classes that a split lacks, and mmpretrain lists of all classes."""
    metrics = dict(top1=np.float32(0.5), one=torch.tensor(1.0), cat_precision=math.nan)
    metrics |= dict(classwise=[1.0, 2.0], matrix=torch.eye(2), text='0.1', least=-math.inf)
    assert finite_numbers(metrics) == dict(top1=0.5, one=1.0)


def test_scores_are_in_percent():
    assert score_of('cls', {'accuracy/top1': 91.5}, 'accuracy/top1') == 91.5
    assert score_of('det', {'pascal_voc/mAP': 0.652}, 'pascal_voc/mAP') == pytest.approx(65.2)
    assert score_of('seg', {'mIoU': 60.0, 'aAcc': 80.0}, 'mIoU') == 60.0
    assert score_of('seg', {'mIoU': 0.0}, 'mIoU') == 0.0
    assert score_of('det', {'coco/bbox_mAP': 0.25}, 'coco/bbox_mAP') == 25.0
    assert score_of('det', {'coco/bbox_mAP': torch.tensor(0.5)}, 'coco/bbox_mAP') == 50.0
    assert score_of('pose', {'PCK': 0.5}, 'PCK') == score_of('pose', {'AUC': 0.5}, 'AUC') == 50.0
    for name in ('lvis/bbox_AP', 'crowdpose/AP', 'coco-wholebody/AP', 'mine/bbox_mAP'):
        assert score_of('mine', {name: 0.25}, name) == 25.0


@pytest.mark.parametrize('family', ['CocoMetric', 'LVISMetric', 'OVCocoMetric'])
def test_a_detector_that_finds_nothing_scores_zero(family):
    assert score_of('det', {}, 'coco/bbox_mAP') == 0.0
    evaluator = dict(type=family, prefix='mine')
    scoring = Scoring.of('det', 'mmdet', Score('mine/bbox_mAP'), evaluator)
    assert scoring.score({}) == scoring.score({'mine/AR@100': 0.0, 'mIoU': 3.0}) == 0.0
    with raises_naming(ValueError, "'det'", "'mine/bbox_mAP'", ['mine/bbox_mAP_50']):
        scoring.score({'mine/bbox_mAP_50': 0.5})


@pytest.mark.parametrize(
    ('value', 'named'),
    [
        (math.nan, math.nan),
        (math.inf, math.inf),
        (-1, -1),
        (-0.05, -0.05),
        ('0.5', 'a str'),
        (None, 'NoneType'),
        (np.array([0.1, 0.2]), 'ndarray'),
        (torch.zeros(2), 'Tensor'),
        (dict(all=0.5), 'a dict'),
    ],
    ids=str,
)
def test_special_values_are_no_scores(value, named):
    with raises_naming(NoScore, "'mine'", "'coco/bbox_mAP_s'", named):
        score_of('mine', {'coco/bbox_mAP_s': value}, 'coco/bbox_mAP_s')


@pytest.mark.parametrize(
    ('metrics', 'key'),
    [
        ({'accuracy/top1': 90.0}, 'accuracy/top5'),
        ({'coco/bbox_mAP': 0.5}, 'coco/bbox_map'),
        ({'mIoU': 60.0}, 'mDice'),
        ({}, 'mIoU'),
    ],
)
def test_metric_that_an_evaluator_does_not_give_is_refused(metrics, key):
    with raises_naming(ValueError, "'mine'", repr(key), sorted(metrics)):
        score_of('mine', metrics, key)


@pytest.mark.parametrize('name', ['acuracy/top1', 'mine/f', 'single-label/support'])
def test_a_name_that_says_nothing_is_refused(name):
    with raises_naming(ValueError, "'mine'", name, "scale='percent'", "rule='greater'"):
        score_of('mine', {name: 0.5}, name)


@pytest.mark.parametrize(
    ('scale', 'factor'), [('percent', 1), ('fraction', 100), (0.5, 0.5), (20, 20)]
)
@pytest.mark.parametrize(('rule', 'sign'), [('greater', 1), ('less', -1)])
def test_scale_and_rule_are_said(scale, factor, rule, sign):
    """A score is in the metric's own terms; of what it adds to the S-Score, more is better."""
    said = Score.read('mine', dict(metric='mine/f', scale=scale, rule=rule))
    scoring = Scoring.of('mine', 'mmpretrain', said, dict(type='MineOfNobody'))
    assert scoring.score({'mine/f': 0.25}) == 0.25 * factor
    assert scoring.gain(scoring.score({'mine/f': 0.25})) == sign * 0.25 * factor
    assert score_of('mine', {'f': 3.0}, dict(metric='f', scale=scale, rule=rule)) == 3.0 * factor


@pytest.mark.parametrize(
    ('score', 'named'),
    [
        (3, (3,)),
        (dict(scale='percent'), ('metric',)),
        (dict(metric='a', scales=1), ("'scales'",)),
        (dict(metric='a', scale='percents'), ("'percents'",)),
        (dict(metric='a', scale=-1), (-1, "rule='less'")),
        (dict(metric='a', scale=True), (True,)),
        (dict(metric='a', scale=math.inf), (math.inf,)),
        (dict(metric='a', rule='lower'), ("'lower'",)),
    ],
    ids=str,
)
def test_scores_that_say_nothing(score, named):
    with raises_naming(ValueError, "'mine'", 'score', *named):
        Score.read('mine', score)


@pytest.fixture(scope='module')
def cfg(data):
    return resolve_joint_config(joint_config(data))


@pytest.mark.parametrize('task', TASKS)
def test_perfect_predictions_score_highest(cfg, task):
    """The whole way through the real evaluator: what the annotations say is given as prediction."""
    evaluation = cfg.tasks[task].evaluation(cfg.tasks[task].val)
    truth = COCO(cfg.val_evaluator.det.ann_file)

    def predict(batch):
        return [perfect(task, sample, truth) for sample in batch['data_samples']]

    batches = []
    metrics = evaluate(predict, evaluation, lambda task, index, batch, out: batches.append(index))
    assert evaluation.scoring.score(metrics) == pytest.approx(100, abs=0.1)
    assert batches == list(range(len(evaluation.loader)))
    # The evaluator starts anew for the next architecture.
    assert evaluate(predict, evaluation) == metrics


def perfect(task, sample, truth):
    """An upstream data sample, as a dict, in which the annotations are the prediction."""
    sample = sample.new()
    if task == 'cls':
        sample.set_pred_score(torch.nn.functional.one_hot(sample.gt_label, 10)[0].float())
        sample.set_pred_label(sample.gt_label)
    elif task == 'det':
        found = truth.imgToAnns[sample.img_id]
        boxes = torch.tensor([annotation['bbox'] for annotation in found]).float()
        boxes[:, 2:] += boxes[:, :2]
        sample.pred_instances = InstanceData(
            bboxes=boxes,
            scores=torch.ones(len(found)),
            labels=torch.tensor([annotation['category_id'] - 1 for annotation in found]),
            masks=torch.stack([torch.from_numpy(truth.annToMask(a)).bool() for a in found]),
        )
    else:
        sample.pred_sem_seg = PixelData(data=sample.gt_sem_seg.data)
    return sample.to_dict()


def test_evaluation_leaves_no_gradients(cfg):
    model = build_model(cfg).eval()
    spec = model.backbone.space.smallest()
    evaluation = cfg.tasks['cls'].evaluation(cfg.tasks['cls'].val)
    outputs = []
    step = model.subnet('cls', spec).val_step
    evaluate(step, evaluation, lambda task, index, batch, out: outputs.extend(out))
    assert not any(sample.pred_score.requires_grad for sample in outputs)


def test_a_number_as_scale_is_what_a_unit_counts():
    units = {'percent': 1, 'fraction': 1, 2.5: 2.5}
    for scale, unit in units.items():
        assert Score.read('det', dict(metric='mine', scale=scale, rule='less')).unit == unit
