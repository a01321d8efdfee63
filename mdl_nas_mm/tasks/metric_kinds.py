"""What the numbers of upstream's metrics are: fractions, percent, errors or counts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from mmengine.registry import METRICS

from mdl_nas_mm.utils.registries import registered


@dataclass(frozen=True)
class Kind:
    """How the numbers of a metric are read.

    Attributes:
        factor: what makes percent of a number; None where it is no part of a hundred.
        greater: whether more is better.
        least: what no number can be below. Upstream gives less, mostly -1, where a split has
            nothing of what is measured.
    """

    factor: float | None = 1.0
    greater: bool = True
    least: float = -math.inf


PERCENT = Kind(least=0.0)
FRACTION = Kind(100.0, least=0.0)
# A fraction that mistakes may bring below zero.
SIGNED = Kind(100.0)
ERROR = Kind(greater=False)
COUNT = Kind(None)
AS_IT_IS = Kind()

_FRACTIONS = """
    mmdet.COCOCaptionMetric mmdet.CityScapesMetric mmdet.CocoMetric mmdet.CocoVideoMetric
    mmdet.DODCocoMetric mmdet.FasterCocoMetric mmdet.LVISFixedAPMetric mmdet.LVISMetric
    mmdet.OVCocoMetric mmdet.OpenImagesMetric mmdet.ReIDMetrics mmdet.RefExpMetric mmdet.VOCMetric
    mmdet.YouTubeVISMetric mmdet.gRefCOCOMetric
    mmpose.CocoMetric mmpose.CocoWholeBodyMetric
    mmpretrain.ANLS mmpretrain.COCOCaption mmpretrain.GQAAcc mmpretrain.ScienceQAMetric
    mmpretrain.ShapeBiasMetric mmpretrain.VisualGroundingMetric
""".split()

_PERCENT = """
    mmdet.CocoPanopticMetric mmdet.RefSegMetric mmdet.SemSegMetric
    mmpose.MpiiPCKAccuracy mmpose.PoseTrack18Metric
    mmpretrain.Accuracy mmpretrain.AveragePrecision mmpretrain.RetrievalAveragePrecision
    mmpretrain.RetrievalRecall mmpretrain.VOCAveragePrecision mmpretrain.VQAAcc
    mmseg.IoUMetric
""".split()

# They give no number.
_NOTHING = """
    mmdet.DumpDetResults mmdet.DumpODVGResults mmdet.DumpProposals mmdet.Flickr30kMetric
    mmengine.DumpResults mmpretrain.ConfusionMatrix mmpretrain.NocapsSave mmpretrain.ReportVQA
""".split()

_LABELS = {'support*': COUNT, '*': PERCENT}

# Library and class -> patterns of its metrics' names, without a prefix, -> what they are. The
# first pattern that fits counts.
KINDS: dict[str, dict[str, Kind]] = {
    **dict.fromkeys(_FRACTIONS, {'*': FRACTION}),
    **dict.fromkeys(_PERCENT, {'*': PERCENT}),
    **dict.fromkeys(_NOTHING, {}),
    'mmdet.CULaneMetric': {
        **dict.fromkeys(('F1*', 'Precision*', 'Recall*'), FRACTION),
        '*': COUNT,
    },
    'mmdet.CocoOccludedSeparatedMetric': {'*_recall': PERCENT, '*': FRACTION},
    'mmdet.CrowdHumanMetric': {'mMR': ERROR, '*': FRACTION},
    'mmdet.MOTChallengeMetric': {
        'MOTA': SIGNED,
        **dict.fromkeys(('MOTP', 'HOTA', 'AssA', 'DetA', 'IDF1', 'IDP', 'IDR'), FRACTION),
        '*': COUNT,
    },
    'mmpose.AUC': {'AUC': FRACTION},
    'mmpose.EPE': {'EPE': ERROR},
    'mmpose.InterHandMetric': {'HandednessAcc': FRACTION, 'M*': ERROR},
    'mmpose.JhmdbPCKAccuracy': {'*PCK': FRACTION},
    'mmpose.MPJPE': {'*MPJPE*': ERROR},
    'mmpose.NME': {'NME': ERROR},
    'mmpose.PCKAccuracy': {'*PCK*': FRACTION},
    'mmpose.SimpleMPJPE': {'*MPJPE*': ERROR},
    'mmpretrain.MultiLabelMetric': _LABELS,
    'mmpretrain.RegressionMetric': {'*': ERROR},
    'mmpretrain.SingleLabelMetric': _LABELS,
    'mmpretrain.VOCMultiLabelMetric': _LABELS,
    'mmseg.CityscapesMetric': {'averageScore*': FRACTION},
    'mmseg.DepthMetric': {'d[123]': FRACTION, '*': ERROR},
}

# Whole names, where all that is known of a metric is its name.
NAMES: dict[str, Kind] = {
    **dict.fromkeys(('EPE', 'NME', '*MPJPE*', 'MRRPE', '*/mMR'), ERROR),
    **dict.fromkeys(
        """
        coco/* lvis/* lvis_fixed_ap/* coco-wholebody/* crowdpose/* pascal_voc/* openimages/*
        cityscapes/* crowd_human/* youtube_vis/* dod/* reid-metric/* refexp/* grefcoco/*
        */bbox_mAP* */segm_mAP* PCK* tPCK AUC GQA/* ANLS/* visual-grounding/*
        """.split(),
        FRACTION,
    ),
    '*': AS_IT_IS,
}

# It and what is derived from it gives no precision at all where nothing was detected.
_DETECTIONS = 'mmdet.CocoMetric'


@dataclass(frozen=True)
class Found:
    """The metric that gives a name, as far as its config says.

    Attributes:
        kind: how the name's numbers are read.
        lead: what all names of the metric begin with.
        owner: its class; None where no metric of the evaluator gives the name.
        known: the class by whose entry it is read, itself or a base; None where there is none.
        detections: whether it gives nothing where nothing was detected.
    """

    kind: Kind
    lead: str
    owner: str | None = None
    known: str | None = None
    detections: bool = False


def find_metric(scope: str, name: str, evaluator: Any) -> Found:
    """Which metric of an evaluator's config gives a name.

    Args:
        scope: the library of the task.
        evaluator: config of one metric, or of several.
    """
    candidates = []
    for cls, lead in _metrics(scope, evaluator, ''):
        if not name.startswith(lead):
            continue
        owners = [_full_name(base) for base in cls.__mro__]
        known = next((owner for owner in owners if owner in KINDS), None)
        kind = _first(KINDS[known], name.removeprefix(lead)) if known else None
        found = Found(kind or _first(NAMES, name), lead, owners[0], known, _DETECTIONS in owners)
        if known is None or kind is not None:
            candidates.append((known is not None, len(lead), found))
    if candidates:
        return max(candidates, key=lambda candidate: candidate[:2])[2]
    return by_name(name)


def by_name(name: str) -> Found:
    """What a name alone says."""
    prefix, slash, _ = name.rpartition('/')
    lead = prefix + slash
    return Found(_first(NAMES, name), lead, detections=lead in ('coco/', 'lvis/'))


def _metrics(scope: str, config: Any, lead: str) -> Iterator[tuple[type, str]]:
    """(class, what its names begin with) of every metric, also of those inside of others."""
    if isinstance(config, Sequence) and not isinstance(config, str):
        for each in config:
            yield from _metrics(scope, each, lead)
        return
    if not isinstance(config, Mapping) or 'type' not in config:
        return
    cls = registered(config['type'], METRICS, scope)
    if not isinstance(cls, type):
        return
    if _full_name(cls) == 'mmpose.KeypointPartitionMetric':
        for part in config['partitions']:
            yield from _metrics(scope, config['metric'], f'{lead}{part}/')
    elif _full_name(cls) == 'mmpretrain.MultiTasksMetric':
        for task, metrics in config['task_metrics'].items():
            yield from _metrics(scope, metrics, f'{lead}{task}_')
    else:
        prefix = config.get('prefix') or getattr(cls, 'default_prefix', None)
        yield cls, f'{lead}{prefix}/' if prefix else lead


def _full_name(cls: type) -> str:
    return f'{cls.__module__.partition(".")[0]}.{cls.__name__}'


def _first(patterns: Mapping[str, Kind], name: str) -> Kind | None:
    return next((kind for pattern, kind in patterns.items() if fnmatchcase(name, pattern)), None)
