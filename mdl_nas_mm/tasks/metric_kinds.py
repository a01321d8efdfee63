"""What the numbers of metrics are: fractions, percent, errors or counts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from mmengine.registry import METRICS

from mdl_nas_mm.utils.registries import registered


@dataclass(frozen=True)
class MetricKind:
    """How the numbers of a metric are read.

    Attributes:
        factor: what a number is multiplied by, so that a part of a whole becomes percent; None
            where it is no such part.
        greater: whether more is better; None where that is not known.
        least: what no number can be below. Upstream gives less, mostly -1, where a split has
            nothing of what is measured.
    """

    factor: float | None = None
    greater: bool | None = None
    least: float = -math.inf


PERCENT = MetricKind(1.0, True, 0.0)
FRACTION = MetricKind(100.0, True, 0.0)
# A fraction that mistakes may bring below zero.
SIGNED = MetricKind(100.0, True)
MISSED = MetricKind(100.0, False, 0.0)
DECIBELS = MetricKind(1.0, True)
# In a unit of its own.
ERROR = MetricKind(None, False, 0.0)
COUNT = UNKNOWN = MetricKind()

_FRACTIONS = """
    mmdet.COCOCaptionMetric mmdet.CityScapesMetric mmdet.CocoVideoMetric
    mmdet.DODCocoMetric mmdet.FasterCocoMetric mmdet.LVISFixedAPMetric mmdet.LVISMetric
    mmdet.OVCocoMetric mmdet.OpenImagesMetric mmdet.ReIDMetrics mmdet.RefExpMetric
    mmdet.YouTubeVISMetric mmdet.gRefCOCOMetric
    mmpose.CocoWholeBodyMetric
    mmpretrain.ANLS mmpretrain.COCOCaption mmpretrain.GQAAcc mmpretrain.ScienceQAMetric
    mmpretrain.ShapeBiasMetric mmpretrain.VisualGroundingMetric
""".split()

_PERCENT = """
    mmdet.CocoPanopticMetric mmdet.RefSegMetric mmdet.SemSegMetric
    mmpose.MpiiPCKAccuracy mmpose.PoseTrack18Metric
    mmpretrain.AveragePrecision mmpretrain.RetrievalAveragePrecision
    mmpretrain.RetrievalRecall mmpretrain.VOCAveragePrecision mmpretrain.VQAAcc
""".split()

# They give no number.
_NOTHING = """
    mmdet.DumpDetResults mmdet.DumpODVGResults mmdet.DumpProposals mmdet.Flickr30kMetric
    mmengine.DumpResults mmpretrain.ConfusionMatrix mmpretrain.NocapsSave mmpretrain.ReportVQA
""".split()

_COCO = 'mAP mAP_50 mAP_75 mAP_s mAP_m mAP_l AR@* AR_?@*'.split()
_LABELS = {'support*': COUNT, '*': PERCENT}

# Library and class -> patterns of its metrics' names, without a prefix, -> what they are. The
# first pattern that fits counts.
KINDS: dict[str, dict[str, MetricKind]] = {
    **dict.fromkeys(_FRACTIONS, {'*': FRACTION}),
    **dict.fromkeys(_PERCENT, {'*': PERCENT}),
    **dict.fromkeys(_NOTHING, {}),
    'mdl_nas_mm.DepthErrorMetric': {
        'd[123]*': FRACTION,
        **dict.fromkeys(('rmse*', 'abs_err*', 'abs_rel*'), ERROR),
    },
    'mdl_nas_mm.EdgeMetric': dict.fromkeys(('odsF', 'oisF'), FRACTION),
    'mdl_nas_mm.EmbeddingMetric': {'loss': ERROR},
    'mdl_nas_mm.NormalsMetric': {
        'within_*': FRACTION,
        **dict.fromkeys(('mean', 'median', 'rmse'), ERROR),
    },
    'mdl_nas_mm.RegressionErrorMetric': {'l[12]': ERROR, 'psnr': DECIBELS},
    'mdl_nas_mm.SaliencyMetric': dict.fromkeys(('maxF_image', 'maxF_pooled', 'mIoU'), FRACTION),
    'mdl_nas_mm.SoftLabelMetric': {'top[15]': PERCENT, 'loss': ERROR},
    'mdl_nas_mm.StructuralSimilarityMetric': {'ms_ssim': FRACTION},
    'mmdet.CULaneMetric': {
        **dict.fromkeys(('F1*', 'Precision*', 'Recall*'), FRACTION),
        '*': COUNT,
    },
    # In full: where nothing is detected yet, no evaluation shows that a name is misspelt.
    'mmdet.CocoMetric': dict.fromkeys(
        (*(f'{kind}_{name}' for kind in ('bbox', 'segm') for name in _COCO), 'AR*', '*_precision'),
        FRACTION,
    ),
    'mmdet.CocoOccludedSeparatedMetric': {'*_recall': PERCENT, '*': FRACTION},
    'mmdet.CrowdHumanMetric': {'mMR': MISSED, '*': FRACTION},
    'mmdet.MOTChallengeMetric': {
        'MOTA': SIGNED,
        **dict.fromkeys(('MOTP', 'HOTA', 'AssA', 'DetA', 'IDF1', 'IDP', 'IDR'), FRACTION),
        '*': COUNT,
    },
    'mmdet.VOCMetric': dict.fromkeys(('mAP', 'AP*', 'AR*'), FRACTION),
    'mmpose.AUC': {'AUC': FRACTION},
    'mmpose.CocoMetric': dict.fromkeys(('AP*', 'AR*'), FRACTION),
    'mmpose.EPE': {'EPE': ERROR},
    'mmpose.InterHandMetric': {'HandednessAcc': FRACTION, 'M*': ERROR},
    'mmpose.JhmdbPCKAccuracy': {'*PCK': FRACTION},
    'mmpose.MPJPE': {'*MPJPE*': ERROR},
    'mmpose.NME': {'NME': ERROR},
    'mmpose.PCKAccuracy': {'*PCK*': FRACTION},
    'mmpose.SimpleMPJPE': {'*MPJPE*': ERROR},
    'mmpretrain.Accuracy': {'top*': PERCENT},
    'mmpretrain.MultiLabelMetric': _LABELS,
    'mmpretrain.RegressionMetric': {'*': ERROR},
    'mmpretrain.SingleLabelMetric': _LABELS,
    'mmpretrain.VOCMultiLabelMetric': _LABELS,
    'mmseg.CityscapesMetric': {'averageScore*': FRACTION},
    'mmseg.DepthMetric': {'d[123]': FRACTION, '*': ERROR},
    'mmseg.IoUMetric': dict.fromkeys(
        ('aAcc', 'mIoU', 'mAcc', 'mDice', 'mFscore', 'mPrecision', 'mRecall'), PERCENT
    ),
}

# Whole names, where all that is known of a metric is its name.
NAMES: dict[str, MetricKind] = {
    '*/mMR': MISSED,
    **dict.fromkeys(('EPE', 'NME', '*MPJPE*', 'MRRPE'), ERROR),
    **dict.fromkeys(
        """
        coco/* lvis/* lvis_fixed_ap/* coco-wholebody/* crowdpose/* pascal_voc/* openimages/*
        cityscapes/* crowd_human/* youtube_vis/* dod/* reid-metric/* refexp/* grefcoco/*
        */bbox_mAP* */segm_mAP* PCK* tPCK AUC GQA/* ANLS/* visual-grounding/*
        """.split(),
        FRACTION,
    ),
    '*/support*': COUNT,
    **dict.fromkeys(
        """
        accuracy/* single-label/* multi-label/* retrieval/* coco_panoptic/* VQA/* posetrack18/*
        aAcc mIoU mAcc mDice mFscore mPrecision mRecall
        """.split(),
        PERCENT,
    ),
}

# It and what is derived from it gives no precision at all where nothing was detected.
_DETECTIONS = 'mmdet.CocoMetric'


@dataclass(frozen=True)
class FoundMetric:
    """The metric that gives a name, as far as its config says.

    Attributes:
        kind: how the name's numbers are read.
        lead: what all names of the metric begin with.
        owner: its class; None where no more than the name is known.
        known: the class by whose entry it is read, itself or a base; None where there is none.
        detections: whether it gives nothing where nothing was detected.
    """

    kind: MetricKind
    lead: str
    owner: str | None = None
    known: str | None = None
    detections: bool = False


def find_metric(scope: str, name: str, evaluator: Any) -> FoundMetric | None:
    """Which metric of an evaluator's config gives a name; None where all are known not to.

    Args:
        scope: the library of the task.
        name: of the metric, such as ``coco/bbox_mAP``.
        evaluator: config of one metric, or of several.
    """
    candidates = []
    for owners, lead, config in _metrics(scope, evaluator, ''):
        if not name.startswith(lead) or _is_left_out(owners, name.removeprefix(lead), config):
            continue
        known = _known(owners)
        kind = _first(KINDS[known], name.removeprefix(lead)) if known else None
        if kind is None and owners[0] == known:
            continue
        known = known if kind else None
        found = FoundMetric(kind or UNKNOWN, lead, owners[0], known, _DETECTIONS in owners)
        candidates.append((kind is not None, len(lead), found))
    return max(candidates, key=lambda candidate: candidate[:2])[2] if candidates else None


def names_given(scope: str, evaluator: Any) -> list[str]:
    """Patterns of the names that an evaluator's config gives."""
    names = []
    for owners, lead, config in _metrics(scope, evaluator, ''):
        known = _known(owners)
        patterns = KINDS[known] if known else ('*',)
        names += [lead + each for each in patterns if not _is_left_out(owners, each, config)]
    return list(dict.fromkeys(names))


def by_name(name: str) -> FoundMetric:
    """What a name alone says."""
    prefix, slash, _ = name.rpartition('/')
    lead = prefix + slash
    return FoundMetric(_first(NAMES, name) or UNKNOWN, lead, detections=lead in ('coco/', 'lvis/'))


def _known(owners: Sequence[str]) -> str | None:
    return next((owner for owner in owners if owner in KINDS), None)


def _is_left_out(owners: Sequence[str], name: str, config: Mapping) -> bool:
    """Whether it is a name of boxes or masks, and the metric is configured for the other alone."""
    given, kind = config.get('metric'), name.partition('_')[0]
    is_either = _DETECTIONS in owners and kind in ('bbox', 'segm')
    return is_either and given is not None and kind not in given


def _metrics(scope: str, config: Any, lead: str) -> Iterator[tuple[list[str], str, Mapping]]:
    """(class and its bases, what its names begin with, its config) of every metric, also of those
    in others."""
    if isinstance(config, Sequence) and not isinstance(config, str):
        for each in config:
            yield from _metrics(scope, each, lead)
        return
    if not isinstance(config, Mapping) or 'type' not in config:
        return
    cls = registered(config['type'], METRICS, scope)
    if not isinstance(cls, type):
        yield [str(config['type'])], lead, config
    elif _full_name(cls) == 'mmpose.KeypointPartitionMetric':
        for part in config['partitions']:
            yield from _metrics(scope, config['metric'], f'{lead}{part}/')
    elif _full_name(cls) == 'mmpretrain.MultiTasksMetric':
        for task, metrics in config['task_metrics'].items():
            yield from _metrics(scope, metrics, f'{lead}{task}_')
    else:
        prefix = config.get('prefix') or getattr(cls, 'default_prefix', None)
        owners = [_full_name(base) for base in cls.__mro__]
        yield owners, f'{lead}{prefix}/' if prefix else lead, config


def _full_name(cls: type) -> str:
    return f'{cls.__module__.partition(".")[0]}.{cls.__name__}'


def _first(patterns: Mapping[str, MetricKind], name: str) -> MetricKind | None:
    return next((kind for pattern, kind in patterns.items() if fnmatchcase(name, pattern)), None)
