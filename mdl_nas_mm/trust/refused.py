"""Upstream's classes, and arguments of known ones, that a file must not name, and why."""

from __future__ import annotations

# Reason -> names.
_BY_REASON = {
    'is evaluated': 'mmdet.CameraMotionCompensation.warp_mode',
    'calls whatever a library has under a name': """
        mmpretrain.Albu mmpretrain.Albumentations mmdet.Albu mmseg.Albu mmpose.Albumentation
        mmdet.ImageAug mmpretrain.AlbuKeypoint
    """,
    'loads a checkpoint that it is told': """
        mmengine.PretrainedInit mdl_nas_mm.DepositBase mdl_nas_mm.SupernetBase
        mdl_nas_mm.DepositedInit mmdet.KnowledgeDistillationSingleStageDetector mmdet.LAD
        mmdet.AppearanceFreeLink mmpose.DWPoseDistiller mmpretrain.CLIPGenerator mmpretrain.VQKD
        mmpretrain.ImageToImageRetriever mmseg.SideAdapterCLIPHead mmseg.CLIPTextEncoder
        mdl_nas_mm.ElasticViT.init_cfg mdl_nas_mm.ElasticSwin.init_cfg
        mdl_nas_mm.ElasticResNet.init_cfg mdl_nas_mm.ElasticResNet9.init_cfg
        mdl_nas_mm.ElasticMobileNetV2.init_cfg mdl_nas_mm.ElasticSwinUNet.init_cfg
    """,
    'fetches what it is told to': """
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
    'unpickles its files, and fetches': """
        mmpretrain.CIFAR10 mmpretrain.CIFAR100 mdl_nas_mm.CIFAR100Task
    """,
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
    'is no part of a task': 'mdl_nas_mm.MultiTaskModel',
    'builds a backbone, which loads what it is told': 'mdl_nas_mm.UpstreamBackbone',
    'is of a training alone': """
        mdl_nas_mm.ChannelMeanLoss mdl_nas_mm.SoftTargetLoss mdl_nas_mm.NamedSamples
    """,
    'may be a file': """
        mdl_nas_mm.ElasticViT.arch mdl_nas_mm.ElasticSwin.arch mdl_nas_mm.ElasticResNet.arch
        mdl_nas_mm.ElasticResNet9.arch mdl_nas_mm.ElasticMobileNetV2.arch
        mdl_nas_mm.ElasticSwinUNet.arch
    """,
    'is of a class alone': """
        mdl_nas_mm.ElasticASPPHead.settings mdl_nas_mm.ElasticFCNHead.settings
        mdl_nas_mm.ElasticLinearClsHead.settings
    """,
}
REFUSED = {name: reason for reason, names in _BY_REASON.items() for name in names.split()}
