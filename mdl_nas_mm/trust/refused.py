"""Upstream's classes, and arguments of known ones, that a file must not name, and why."""

from __future__ import annotations

_FETCHES = 'fetches what it is told to'
_LOADS = 'loads a checkpoint that it is told'
_WRITES = 'writes where it is told to'
_BUILDS = 'calls whatever a library has under a name'
_UNPICKLES = 'unpickles its files'

REFUSED: dict[str, str] = {
    'mmdet.CameraMotionCompensation.warp_mode': 'is evaluated',
    **dict.fromkeys(('mmpretrain.Albu', 'mmpretrain.Albumentations', 'mmdet.Albu'), _BUILDS),
    **dict.fromkeys(('mmseg.Albu', 'mmpose.Albumentation', 'mmdet.ImageAug'), _BUILDS),
    **dict.fromkeys(('mmengine.PretrainedInit', 'mdl_nas_mm.DepositBase'), _LOADS),
    **dict.fromkeys(('mdl_nas_mm.SupernetBase', 'mdl_nas_mm.DepositedInit'), _LOADS),
    **dict.fromkeys(('mmdet.KnowledgeDistillationSingleStageDetector', 'mmdet.LAD'), _LOADS),
    **dict.fromkeys(('mmdet.AppearanceFreeLink', 'mmpose.DWPoseDistiller'), _LOADS),
    **dict.fromkeys(('mmpretrain.CLIPGenerator', 'mmpretrain.VQKD'), _LOADS),
    **dict.fromkeys(('mmpretrain.ImageToImageRetriever', 'mmseg.SideAdapterCLIPHead'), _LOADS),
    'mmseg.CLIPTextEncoder': _LOADS,
    **dict.fromkeys(('mmdet.BertModel', 'mmdet.GLIP', 'mmdet.GroundingDINO'), _FETCHES),
    **dict.fromkeys(('mmdet.ATSSVLFusionHead', 'mmdet.RandomSamplingNegPos'), _FETCHES),
    **dict.fromkeys(('mmpretrain.HuggingFaceClassifier', 'mmpretrain.TimmClassifier'), _FETCHES),
    **dict.fromkeys(('mmpretrain.MNIST', 'mmpretrain.FashionMNIST'), _FETCHES),
    'mmdet.CocoOccludedSeparatedMetric': _FETCHES,
    'mmpretrain.VQAGenerationHead': _UNPICKLES,
    **dict.fromkeys(('mmpretrain.CIFAR10', 'mmpretrain.CIFAR100'), f'{_UNPICKLES}, and fetches'),
    **dict.fromkeys(('mmdet.OpenImagesChallengeDataset',), _UNPICKLES),
    **dict.fromkeys(('mmpose.H36MWholeBodyDataset', 'mmpose.UBody3dDataset'), _UNPICKLES),
    **dict.fromkeys(
        ('mmengine.DumpResults', 'mmdet.DumpDetResults', 'mmdet.DumpODVGResults'), _WRITES
    ),
    **dict.fromkeys(('mmdet.DumpProposals', 'mmdet.CityScapesMetric'), _WRITES),
    **dict.fromkeys(('mmseg.CityscapesMetric', 'mmpretrain.ShapeBiasMetric'), _WRITES),
    **dict.fromkeys(('mmpretrain.ReportVQA', 'mmpretrain.NocapsSave'), _WRITES),
    **dict.fromkeys(
        (
            'mmseg.LoadBiomedicalImageFromFile.decode_backend',
            'mmseg.LoadBiomedicalAnnotation.decode_backend',
            'mmseg.LoadBiomedicalData.decode_backend',
            'mmseg.LoadDepthAnnotation.decode_backend',
        ),
        'may be pickle',
    ),
    **dict.fromkeys(('mdl_nas_mm.ElasticViT.init_cfg', 'mdl_nas_mm.ElasticSwin.init_cfg'), _LOADS),
    'mdl_nas_mm.MultiTaskModel': 'is no part of a task',
    **dict.fromkeys(('mdl_nas_mm.ElasticViT.arch', 'mdl_nas_mm.ElasticSwin.arch'), 'may be a file'),
}
