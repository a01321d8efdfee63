"""Classes, and arguments of known ones, that a file must not name, and why.

Upstream's are listed here. A class of this package says it itself: of the whole class in
``file_refusal``, of an argument in ``file_rules``; both are texts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .lookup import short_name

# Reason -> names.
_BY_REASON = {
    'is evaluated': 'mmdet.CameraMotionCompensation.warp_mode',
    'calls whatever a library has under a name': """
        mmpretrain.Albu mmpretrain.Albumentations mmdet.Albu mmseg.Albu mmpose.Albumentation
        mmdet.ImageAug mmpretrain.AlbuKeypoint
    """,
    'loads a checkpoint that it is told': """
        mmengine.PretrainedInit mmdet.KnowledgeDistillationSingleStageDetector mmdet.LAD
        mmdet.AppearanceFreeLink mmpose.DWPoseDistiller mmpretrain.CLIPGenerator mmpretrain.VQKD
        mmpretrain.ImageToImageRetriever mmseg.SideAdapterCLIPHead mmseg.CLIPTextEncoder
    """,
    'fetches what it is told to': """
        mmpretrain.TIMMBackbone mmseg.TIMMBackbone
        mmdet.BertModel mmdet.GLIP mmdet.GroundingDINO mmdet.ATSSVLFusionHead
        mmdet.RandomSamplingNegPos mmpretrain.HuggingFaceClassifier mmpretrain.TimmClassifier
        mmpretrain.MNIST mmpretrain.FashionMNIST mmdet.CocoOccludedSeparatedMetric
        mmseg.OneDLDataset mmseg.LoadSingleRSImageFromFile mmseg.LoadMultipleRSImageFromFile
    """,
    'runs what its files say': 'mmdet.DSDLDetDataset mmseg.DSDLSegDataset',
    'unpickles its files': """
        mmpretrain.VQAGenerationHead mmdet.OpenImagesChallengeDataset mmdet.OpenImagesDataset
        mmdet.RefCocoDataset mmpretrain.RefCOCO
        mmpose.H36MWholeBodyDataset mmpose.UBody3dDataset
    """,
    'unpickles its files, and fetches': 'mmpretrain.CIFAR10 mmpretrain.CIFAR100',
    'writes where it is told to': """
        mmengine.DumpResults mmdet.DumpDetResults mmdet.DumpODVGResults mmdet.DumpProposals
        mmdet.CityScapesMetric mmseg.CityscapesMetric mmpretrain.ShapeBiasMetric
        mmpretrain.ReportVQA mmpretrain.NocapsSave
    """,
    'may be pickle': """
        mmseg.LoadBiomedicalImageFromFile.decode_backend
        mmseg.LoadBiomedicalAnnotation.decode_backend mmseg.LoadBiomedicalData.decode_backend
        mmseg.LoadDepthAnnotation.decode_backend
    """,
}
REFUSED = {name: reason for reason, names in _BY_REASON.items() for name in names.split()}


def why_refused(found: Callable) -> str | None:
    """Why a file must not name a class; None where nothing is said against it."""
    return getattr(found, 'file_refusal', None) or REFUSED.get(short_name(found))


def why_refused_argument(found: Any, key: str) -> str | None:
    """Why a file must not give an argument of a class; None where nothing is said against it."""
    own = getattr(found, 'file_rules', {}).get(key)
    return own if isinstance(own, str) else REFUSED.get(f'{short_name(found)}.{key}')
