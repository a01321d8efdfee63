"""What the numbers of upstream's metrics are: a model without mistakes scores 100 percent."""

import importlib

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from refusals import raises_naming

from mdl_nas_mm.tasks import Score, Scoring, Split, Task, task_scope
from mdl_nas_mm.tasks.metric_kinds import KINDS

OWN = 'mdl_nas_mm.scenes'
LIBRARIES = ('mmdet', 'mmpose', 'mmpretrain', 'mmseg')
# Both consist of other metrics.
OF_OTHERS = {'mmpose.KeypointPartitionMetric', 'mmpretrain.MultiTasksMetric'}
# One of the two stacks alone has them.
OF_ONE_STACK = {
    'mmdet.CULaneMetric',
    'mmdet.FasterCocoMetric',
    'mmpretrain.RegressionMetric',
}


def test_every_metric_of_upstream_is_in_the_list():
    found = {'mmengine.DumpResults'}
    for library in (*LIBRARIES, 'mdl_nas_mm'):
        importlib.import_module(OWN if library == 'mdl_nas_mm' else f'{library}.evaluation')
        registry = importlib.import_module(f'{library}.registry').METRICS
        found |= {f'{library}.{name}' for name in registry.module_dict}
    assert found - KINDS.keys() == OF_OTHERS
    assert KINDS.keys() - found <= OF_ONE_STACK


def build(scope, **config):
    with task_scope(scope):
        return METRICS.build(config)


def points():
    """Three persons with sixteen key points, found where they are."""
    place = np.random.default_rng(0).uniform(1, 30, (3, 16, 2))
    sizes = {f'{part}_size': np.full((3, 2), 9.0) for part in ('bbox', 'head', 'torso')}
    return [dict(pred_coords=place, gt_coords=place, mask=np.ones((3, 16), bool), **sizes)]


def boxes():
    """An image with a box that is found: ground truth and prediction as mmdet's VOC wants them."""
    box, none = np.array([[4.0, 6, 24, 26]]), np.zeros((0, 4))
    truth = dict(bboxes=box, labels=np.zeros(1, int))
    truth |= dict(bboxes_ignore=none, labels_ignore=np.zeros(0, int))
    return [(truth, [np.array([[4.0, 6, 24, 26, 0.9]])])]


def labels():
    """Four images of two classes, all right."""
    label = [torch.tensor([i % 2]) for i in range(4)]
    score = [torch.eye(2)[i % 2] for i in range(4)]
    several = [dict(gt_score=each, pred_score=each) for each in score]
    single = [dict(gt_label=a, pred_score=b) for a, b in zip(label, score)]
    return [dict(a, **b) for a, b in zip(several, single)]


def areas():
    area = torch.tensor([3.0, 5.0])
    return [(area, area, area, area)]


VOC = dict(classes=('box',), dataset_type='VOC2007')
PERFECT = [
    ('mmdet', dict(type='VOCMetric'), 'pascal_voc/mAP', boxes),
    ('mmdet', dict(type='VOCMetric', prefix='mine'), 'mine/AP50', boxes),
    ('mmdet', dict(type='RefSegMetric', metric=('mIoU',)), 'mIoU', lambda: [(3, 3, 1, 1)]),
    (
        'mmdet',
        dict(type='ReIDMetrics'),
        'reid-metric/mAP',
        lambda: [dict(gt_label=torch.tensor([0]), pred_feature=torch.ones(2))] * 2,
    ),
    ('mmpose', dict(type='PCKAccuracy', norm_item=['bbox', 'torso']), 'PCK', points),
    ('mmpose', dict(type='PCKAccuracy', norm_item=['bbox', 'torso']), 'tPCK', points),
    ('mmpose', dict(type='MpiiPCKAccuracy'), 'PCK', points),
    ('mmpose', dict(type='JhmdbPCKAccuracy', norm_item='bbox'), 'Elb PCK', points),
    ('mmpose', dict(type='JhmdbPCKAccuracy', norm_item='torso'), 'tPCK', points),
    ('mmpose', dict(type='AUC', prefix='hand', num_thrs=2000), 'hand/AUC', points),
    ('mmseg', dict(type='IoUMetric'), 'mIoU', areas),
    ('mmseg', dict(type='IoUMetric', iou_metrics=['mDice'], prefix='mine'), 'mine/mDice', areas),
    ('mmpretrain', dict(type='Accuracy', topk=1), 'accuracy/top1', labels),
    ('mmpretrain', dict(type='SingleLabelMetric'), 'single-label/f1-score', labels),
    ('mmpretrain', dict(type='MultiLabelMetric'), 'multi-label/precision', labels),
    ('mmpretrain', dict(type='AveragePrecision'), 'multi-label/mAP', labels),
    (
        'mmpretrain',
        dict(type='VisualGroundingMetric'),
        'visual-grounding/miou',
        lambda: [dict(box=torch.tensor([0.0, 0, 2, 2]), box_target=torch.tensor([0.0, 0, 2, 2]))],
    ),
    (
        'mmpretrain',
        dict(type='GQAAcc'),
        'GQA/acc',
        lambda: [dict(pred_answer='cat', gt_answer='cat')],
    ),
    (
        'mmpretrain',
        dict(type='VQAAcc'),
        'VQA/acc',
        lambda: [dict(pred_answer='cat', gt_answer=['cat'], gt_answer_weight=[10])],
    ),
    (
        'mmpretrain',
        dict(type='ANLS'),
        'ANLS/ANLS',
        lambda: [dict(pred_answer='cat', gt_answer=['cat'])],
    ),
]


@pytest.mark.parametrize(
    ('scope', 'config', 'key', 'results'), PERFECT, ids=[f'{p[1]["type"]} {p[2]}' for p in PERFECT]
)
def test_without_mistakes_it_is_a_hundred_percent(scope, config, key, results):
    metric = build(scope, **config)
    metric.dataset_meta = dict(VOC, classes=('a', 'b')) if scope == 'mmseg' else VOC
    found = metric.compute_metrics(results())
    names = {f'{metric.prefix}/{name}' if metric.prefix else name: v for name, v in found.items()}
    scoring = Scoring.of('mine', scope, Score(key), [dict(type='DumpResults'), config])
    assert scoring.score(names) == pytest.approx(100, abs=0.1)
    assert scoring.note is None


@pytest.mark.parametrize(
    ('scope', 'evaluator', 'key', 'factor'),
    [
        ('mmdet', dict(type='CocoMetric', prefix='mine'), 'mine/segm_mAP', 100),
        ('mmdet', dict(type='CocoPanopticMetric'), 'coco_panoptic/PQ', 1),
        ('mmdet', dict(type='CocoOccludedSeparatedMetric'), 'coco/occluded_recall', 1),
        ('mmdet', dict(type='CocoOccludedSeparatedMetric'), 'coco/segm_mAP', 100),
        ('mmdet', dict(type='CrowdHumanMetric'), 'crowd_human/mAP', 100),
        ('mmdet', dict(type='MOTChallengeMetric'), 'motchallenge-metric/MOTA', 100),
        ('mmdet', dict(type='mmdet.CityScapesMetric'), 'cityscapes/mAP', 100),
        ('mmseg', dict(type='CityscapesMetric'), 'averageScoreCategories', 100),
        ('mmseg', dict(type='DepthMetric'), 'd1', 100),
        ('mmseg', dict(type='mdl_nas_mm.DepthErrorMetric'), 'd1_image', 100),
        ('mmseg', dict(type='mdl_nas_mm.NormalsMetric', prefix='n'), 'n/within_11.25', 100),
        ('mmseg', dict(type='mdl_nas_mm.EdgeMetric'), 'odsF', 100),
        ('mmseg', dict(type='mdl_nas_mm.SaliencyMetric'), 'maxF_pooled', 100),
        ('mmseg', dict(type='mdl_nas_mm.SoftLabelMetric'), 'top1', 1),
        ('mmseg', dict(type='mdl_nas_mm.RegressionErrorMetric', data_range=1), 'psnr', 1),
        (
            'mmseg',
            dict(type='mdl_nas_mm.StructuralSimilarityMetric', data_range=1),
            'ms_ssim',
            100,
        ),
        ('mmpose', dict(type='CocoMetric', prefix='crowdpose'), 'crowdpose/AP', 100),
        ('mmpose', dict(type='CocoWholeBodyMetric'), 'coco-wholebody/AP', 100),
        ('mmpose', dict(type='PoseTrack18Metric'), 'posetrack18/AP', 1),
        ('mmpose', [dict(type='EPE'), dict(type='AUC'), dict(type='MpiiPCKAccuracy')], 'AUC', 100),
        ('mmpose', [dict(type='EPE'), dict(type='AUC'), dict(type='MpiiPCKAccuracy')], 'PCK', 1),
        (
            'mmpose',
            dict(
                type='KeypointPartitionMetric',
                metric=dict(type='CocoMetric'),
                partitions=dict(hand=[0], body=[1, 2]),
            ),
            'body/coco/AP',
            100,
        ),
        (
            'mmpretrain',
            dict(
                type='MultiTasksMetric',
                task_metrics=dict(a=[dict(type='Accuracy')], b=[dict(type='GQAAcc')]),
            ),
            'b_GQA/acc',
            100,
        ),
        ('mmpretrain', dict(type='ShapeBiasMetric'), 'accuracy/top1', 100),
        ('mmpretrain', dict(type='RetrievalRecall'), 'retrieval/Recall@1', 1),
        ('mmpretrain', dict(type='VOCAveragePrecision'), 'multi-label/mAP', 1),
    ],
)
def test_the_class_says_how_its_metric_counts(scope, evaluator, key, factor):
    scoring = Scoring.of('mine', scope, Score(key), evaluator)
    assert scoring.score({key: 0.5}) == factor * 0.5
    assert scoring.note is None


def test_below_zero_where_mistakes_count_against():
    evaluator, key = dict(type='MOTChallengeMetric'), 'motchallenge-metric/MOTA'
    scoring = Scoring.of('mot', 'mmdet', Score(key), evaluator)
    assert scoring.score({key: -0.5}) == -50


ERRORS = [
    ('mmpose', dict(type='EPE'), 'EPE'),
    ('mmpose', dict(type='NME', norm_mode='use_norm_item'), 'NME'),
    ('mmpose', dict(type='MPJPE', mode='p-mpjpe'), 'P-MPJPE'),
    ('mmpose', dict(type='InterHandMetric'), 'MPJPE_all'),
    ('mmseg', dict(type='DepthMetric'), 'abs_rel'),
    ('mmseg', dict(type='DepthMetric'), 'rmse'),
    ('mmseg', dict(type='mdl_nas_mm.DepthErrorMetric'), 'rmse_image'),
    ('mmseg', dict(type='mdl_nas_mm.NormalsMetric'), 'mean'),
    ('mmseg', dict(type='mdl_nas_mm.EmbeddingMetric'), 'loss'),
    ('mmseg', dict(type='mdl_nas_mm.RegressionErrorMetric', key='point'), 'l2'),
]


@pytest.mark.parametrize(('scope', 'evaluator', 'key'), ERRORS, ids=[e[2] for e in ERRORS])
def test_how_much_an_error_counts_is_said(scope, evaluator, key):
    """Then less of it is better, which need not be said."""
    with raises_naming(ValueError, "'mine'", f"'{key}'", 'error', 'scale='):
        Scoring.of('mine', scope, Score(key), evaluator)
    scoring = Scoring.of('mine', scope, Score(key, 10.0), evaluator)
    assert (scoring.greater, scoring.score({key: 0.5})) == (False, 5.0)
    assert scoring.gain(5.0) == -5.0
    with raises_naming(ValueError, "'mine'", f"'{key}'", -1):
        scoring.score({key: -1.0})
    with raises_naming(ValueError, "'mine'", f"'{key}'", 'rule'):
        Scoring.of('mine', scope, Score(key, 10.0, True), evaluator)


def test_an_error_that_is_a_fraction_is_known_as_one():
    scoring = Scoring.of('m', 'mmdet', Score('crowd_human/mMR'), dict(type='CrowdHumanMetric'))
    assert scoring.gain(scoring.score({'crowd_human/mMR': 0.25})) == -25.0


@pytest.mark.parametrize(
    ('scope', 'evaluator', 'key'),
    [
        ('mmdet', dict(type='MOTChallengeMetric'), 'motchallenge-metric/IDSW'),
        ('mmpretrain', dict(type='SingleLabelMetric'), 'single-label/support'),
    ],
)
def test_counts_are_refused_before_anything_runs(scope, evaluator, key):
    with raises_naming(ValueError, "'mine'", f"'{key}'", 'scale=', 'rule='):
        Scoring.of('mine', scope, Score(key), evaluator)


@pytest.mark.parametrize(
    ('score', 'named'),
    [(Score('mIoU', 100.0), 'scale'), (Score('mIoU', None, False), 'rule')],
)
def test_what_is_known_is_not_said_otherwise(score, named):
    with raises_naming(ValueError, "'seg'", "'mIoU'", 'mmseg.IoUMetric', named):
        Scoring.of('seg', 'mmseg', score, dict(type='IoUMetric'))
    Scoring.of('seg', 'mmseg', Score('mIoU', 1.0, True), dict(type='IoUMetric'))


@pytest.mark.parametrize(
    ('scope', 'evaluator', 'key', 'meant'),
    [
        ('mmdet', dict(type='CocoMetric'), 'bbox_mAP', 'coco/bbox_mAP_50'),
        ('mmdet', dict(type='CocoMetric'), 'coco/bbox_mpa', 'coco/bbox_mAP_50'),
        ('mmpretrain', dict(type='Accuracy'), 'acuracy/top1', 'accuracy/top*'),
        ('mmseg', [dict(type='IoUMetric')], 'MIoU', 'mIoU'),
        ('mmseg', dict(type='DumpResults'), 'mIoU', 'none'),
    ],
)
def test_names_that_no_metric_gives(scope, evaluator, key, meant):
    with raises_naming(ValueError, "'mine'", f"'{key}'", meant):
        Scoring.of('mine', scope, Score(key), evaluator)


class Mine(BaseMetric):
    """A metric that nobody knows."""

    default_prefix = 'mine'

    def process(self, data_batch, data_samples):
        """Nothing."""

    def compute_metrics(self, results):
        """Nothing."""
        return {}


@pytest.mark.parametrize(
    'score', [Score('mine/f'), Score('mine/f', 1.0), Score('mine/f', None, True)]
)
def test_an_unknown_metric_says_how_it_counts(score):
    """Also where one that is known has such a name."""
    with raises_naming(ValueError, "'cls'", 'Mine', "metric='mine/f'", 'scale=', 'rule='):
        Scoring.of('cls', 'mmpretrain', score, dict(type=Mine))
    with raises_naming(ValueError, "'det'", "'coco/bbox_mAP'", 'Mine'):
        Scoring.of('det', 'mmdet', Score('coco/bbox_mAP'), dict(type=Mine, prefix='coco'))
    scoring = Scoring.of('cls', 'mmpretrain', Score('mine/f', 1.0, True), dict(type=Mine))
    assert scoring.score({'mine/f': -2.0}) == -2.0 and scoring.note is None


def test_a_class_derived_from_a_known_one_counts_like_it():
    """Unless the config says otherwise; of names that are new in it nothing is known."""
    from mmdet.evaluation import CocoMetric

    other = dict(type=type('Other', (CocoMetric,), dict(__module__='my_package.metrics')))
    scoring = Scoring.of('det', 'mmdet', Score('coco/bbox_mAP'), other)
    assert "'coco/bbox_mAP' of my_package.Other" in scoring.note
    assert 'mmdet.CocoMetric' in scoring.note
    assert scoring.score({'coco/bbox_mAP': 0.5}) == 50.0 and scoring.score({}) == 0.0
    assert Scoring.of('det', 'mmdet', Score('coco/bbox_mAP', 1.0), other).factor == 1.0
    with raises_naming(ValueError, "'det'", "'coco/PQ'", 'my_package.Other'):
        Scoring.of('det', 'mmdet', Score('coco/PQ'), other)


@pytest.mark.parametrize(('key', 'factor'), [('mine/f', 1.0), ('coco/bbox_mAP', 100.0)])
def test_a_deposit_that_was_written_before_counts_as_it_did(key, factor):
    """By the name alone, where the class is unknown and no scale is said."""
    val = Split(dict(), dict(type=Mine, prefix=key.partition('/')[0]))
    info = dict(scope='mmdet', model=dict(), score=key)
    scoring = Task.of_deposit('old', info, val).scoring(val)
    assert (scoring.factor, scoring.greater) == (factor, True)
    info['score'] = dict(metric=key, scale=3, rule='less')
    scoring = Task.of_deposit('new', info, val).scoring(val)
    assert (scoring.factor, scoring.greater) == (3.0, False)
