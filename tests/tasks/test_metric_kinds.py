"""What the numbers of upstream's metrics are: a model without mistakes scores 100 percent."""

import importlib

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from mdl_nas_mm.tasks import Scoring, task_scope
from mdl_nas_mm.tasks.metric_kinds import KINDS

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
    for library in LIBRARIES:
        importlib.import_module(f'{library}.evaluation')
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
    scoring = Scoring.from_config('mine', scope, key, [dict(type='DumpResults'), config])
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
    scoring = Scoring.from_config('mine', scope, key, evaluator)
    assert scoring.score({key: 0.5}) == factor * 0.5
    assert scoring.note is None


def test_below_zero_where_mistakes_count_against():
    evaluator = dict(type='MOTChallengeMetric')
    scoring = Scoring.from_config('mot', 'mmdet', 'motchallenge-metric/MOTA', evaluator)
    assert scoring.score({'motchallenge-metric/MOTA': -0.5}) == -50


@pytest.mark.parametrize(
    ('scope', 'evaluator', 'key', 'what'),
    [
        ('mmpose', dict(type='EPE'), 'EPE', 'an error, of which less is better'),
        ('mmpose', dict(type='NME', norm_mode='use_norm_item'), 'NME', 'an error, of which'),
        ('mmpose', dict(type='MPJPE', mode='p-mpjpe'), 'P-MPJPE', 'an error, of which less'),
        ('mmpose', dict(type='InterHandMetric'), 'MPJPE_all', 'an error, of which less is'),
        ('mmseg', dict(type='DepthMetric'), 'abs_rel', 'an error, of which less is better'),
        ('mmdet', dict(type='CrowdHumanMetric'), 'crowd_human/mMR', 'an error, of which less is'),
        ('mmdet', dict(type='MOTChallengeMetric'), 'motchallenge-metric/IDSW', 'a count'),
        ('mmpretrain', dict(type='SingleLabelMetric'), 'single-label/support', 'a count'),
    ],
)
def test_errors_and_counts_are_refused_before_anything_runs(scope, evaluator, key, what):
    with pytest.raises(ValueError, match=f"task 'mine': the metric '{key}' is {what}"):
        Scoring.from_config('mine', scope, key, evaluator)


class Mine(BaseMetric):
    """A metric that nobody knows."""

    default_prefix = 'mine'

    def process(self, data_batch, data_samples):
        """Nothing."""

    def compute_metrics(self, results):
        """Nothing."""
        return {}


def test_how_an_unknown_metric_counts_is_said():
    scoring = Scoring.from_config('cls', 'mmpretrain', 'mine/f', dict(type=Mine))
    assert (
        scoring.note
        == f"task 'cls': 'mine/f' of {Mine.__module__}.Mine counts as percent, as it is"
    )
    assert scoring.score({'mine/f': -2.0}) == -2.0


def test_a_class_derived_from_a_known_one_counts_like_it():
    from mmdet.evaluation import CocoMetric

    other = type('Other', (CocoMetric,), dict(__module__='my_package.metrics'))
    scoring = Scoring.from_config('det', 'mmdet', 'coco/bbox_mAP', dict(type=other))
    assert scoring.note == (
        "task 'det': 'coco/bbox_mAP' of my_package.Other counts like one of mmdet.CocoMetric, "
        'as a fraction, times 100'
    )
    assert scoring.score({'coco/bbox_mAP': 0.5}) == 50.0 and scoring.score({}) == 0.0
